// The moments of the whole system: pushed by the server, or asked for where it pushes none.

import { get, session } from "./api.js";
import { tell } from "./notices.js";

const ASK_MS = 2000;
const listeners = new Set();
let paused = false;
let source = null;
let asking = null;
let last = null;

/** Whether the user has stopped all updates. */
export function isPaused() {
  return paused;
}

/** Stop or go on with all updates. */
export function pause(wanted) {
  paused = wanted;
  if (paused) stop();
  else if (listeners.size) start();
}

/** Call with each moment, and at once with the last one; returns how to end that. */
export function onLive(listen) {
  listeners.add(listen);
  if (last !== null) listen(last);
  if (!paused) start();
  return () => {
    listeners.delete(listen);
    if (!listeners.size) stop();
  };
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) stop();
  else if (listeners.size && !paused) start();
});

function start() {
  if (source !== null || asking !== null || session.role === "none") return;
  source = new EventSource("/api/v1/live");
  source.addEventListener("overview", (event) => hear(JSON.parse(event.data)));
  source.addEventListener("trouble", (event) => tell.isUnreached(JSON.parse(event.data).error));
  source.onerror = () => {
    // The browser tries again by itself, but for a refusal: then there is nothing that pushes.
    if (source?.readyState === EventSource.CLOSED) ask();
  };
}

function stop() {
  source?.close();
  source = null;
  clearInterval(asking);
  asking = null;
}

function ask() {
  stop();
  const once = async () => {
    try {
      const [queues, pools] = await Promise.all([get("/queues"), get("/pools")]);
      const workers = pools.reduce((sum, pool) => sum + pool.workers, 0);
      if (asking !== null) hear({ queues, workers, at: new Date().toISOString() });
    } catch {
      // The page that is shown asks as well, and says what is wrong.
    }
  };
  asking = setInterval(once, ASK_MS);
  once();
}

function hear(moment) {
  last = moment;
  for (const listen of listeners) listen(moment);
}
