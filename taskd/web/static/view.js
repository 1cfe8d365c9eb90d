// An open page: what it has loaded, when that is loaded again, and how it is drawn.

import { morph } from "./dom.js";
import { noteEnds, showEnds } from "./ends.js";
import { get } from "./api.js";
import { isPaused, onLive } from "./live.js";
import { tell } from "./notices.js";

/** A page while it is shown. `params` and `name` are what its address says beside its kind. */
export class View {
  constructor(place, { params, name }) {
    this.params = params;
    this.name = name;
    this.data = {};
    this.failed = {};
    this.stop = new AbortController();
    this.place = place;
    this.render = () => [];
    this.loads = [];
    this.timer = setInterval(() => this.reload(), 250);
    this.leaveLive = () => {};
    const isOpened = { capture: true, signal: this.stop.signal }; // it does not bubble
    place.addEventListener("toggle", () => showEnds(place), isOpened);
  }

  /** Whether the user has gone elsewhere. */
  get isClosed() {
    return this.stop.signal.aborted;
  }

  /**
   * Keep `data[key]` loaded: at once, and again every `seconds` (null: once) while the page is live.
   * `path` may be a function that gives the path, or null while there is nothing to ask.
   */
  load(key, path, query = {}, seconds = 5) {
    const load = { key, path, query, seconds, due: 0, isBusy: false, isDone: false };
    this.loads.push(load);
    return this.fetch(load);
  }

  /** Load again what is due; `all`: everything. */
  reload(all = false) {
    if (!all && (isPaused() || document.hidden)) return;
    for (const load of this.loads) {
      const isDue = load.seconds === null ? !load.isDone : performance.now() >= load.due;
      if (!load.isBusy && (all || isDue)) this.fetch(load);
    }
  }

  async fetch(load) {
    const path = typeof load.path === "function" ? load.path() : load.path;
    if (path === null) return;
    const query = typeof load.query === "function" ? load.query() : load.query;
    load.isBusy = true;
    try {
      this.data[load.key] = await get(path, query, this.stop.signal);
      delete this.failed[load.key];
      tell.isReached();
    } catch (fault) {
      if (this.isClosed) return;
      if (fault.status === 429 && load.key in this.data) return; // crowded; what is shown stays for a moment more
      this.failed[load.key] = fault;
      if (fault.status === 404) load.seconds = null;
      else if (fault.status !== 429) tell.isUnreached(fault.message);
    } finally {
      load.isBusy = false;
      load.isDone = true;
      load.due = performance.now() + (load.seconds ?? 0) * 1000;
    }
    this.draw();
  }

  /** Be told each moment of the whole system, as long as the page is open. */
  live(listen) {
    this.leaveLive = onLive((moment) => {
      listen(moment);
      this.draw();
    });
  }

  /** Show what is known now. */
  draw() {
    if (this.isClosed) return;
    noteEnds(this.place);
    morph(this.place, this.render());
    showEnds(this.place);
  }

  /** End all that goes on for this page. */
  close() {
    this.stop.abort();
    clearInterval(this.timer);
    this.leaveLive();
  }
}
