// The log of a job: read on from where it was read to, while the job runs, and kept at its end for
// who has not scrolled away from there.

import { get } from "./api.js";
import { h } from "./dom.js";
import { exactTime } from "./format.js";
import { card } from "./parts.js";

const MOST_LINES = 5000;
const EVERY_MS = 1000;

/** Keep the log loaded while the view is open; returns how it is drawn. */
export function logOf(view, path) {
  const log = { lines: [], after: null, isBusy: false, isAllRead: false, isCut: false };
  const timer = setInterval(() => { if (!document.hidden) read(view, path, log); }, EVERY_MS);
  view.stop.signal.addEventListener("abort", () => clearInterval(timer));
  read(view, path, log);
  return () => drawn(log);
}

async function read(view, path, log) {
  if (!view.data.job || log.isBusy || log.isAllRead) return;
  log.isBusy = true;
  try {
    const found = await get(`${path}/log`, { after: log.after }, view.stop.signal);
    log.lines.push(...found.lines);
    log.after = found.next_after;
    log.isAllRead = found.is_final && !found.more;
    log.isCut ||= log.lines.length > MOST_LINES;
    log.lines.splice(0, Math.max(log.lines.length - MOST_LINES, 0));
    if (found.lines.length) view.draw();
  } catch (fault) {
    // There is no such job, or not any more; what else is wrong, the page tells.
    log.isAllRead = fault.status === 404;
  } finally {
    log.isBusy = false;
  }
}

function drawn(log) {
  if (!log.lines.length) return null;
  const old = document.getElementById("log");
  const isAtEnd = !old || old.scrollTop + old.clientHeight >= old.scrollHeight - 20;
  if (isAtEnd) requestAnimationFrame(() => {
    const now = document.getElementById("log");
    if (now) now.scrollTop = now.scrollHeight;
  });
  return card("Log",
    log.isCut && h("p", { class: "note" }, `The last ${MOST_LINES} lines.`),
    h("div", { class: "log", id: "log", tabindex: "0", role: "log", "aria-live": "off", "aria-label": "Log" }, log.lines.map((line) =>
      h("div", { class: `line ${line.level}`, key: line.position },
        h("time", { datetime: line.at }, exactTime(line.at)),
        h("span", { class: "level" }, line.level),
        h("span", { class: "text" }, line.text)))));
}
