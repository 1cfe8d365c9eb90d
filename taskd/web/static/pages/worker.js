// Where one worker stands: the stacks of its jobs, and of taskd itself for who wants to see them.

import { h } from "../dom.js";
import { card, heading, link, waiting } from "../parts.js";
import { stackList } from "../stacks.js";

const EVERY_SECONDS = 2;

export const title = () => "Worker";

export function open(view) {
  view.load("found", `/workers/${encodeURIComponent(view.name)}/stacks`, {}, EVERY_SECONDS);
  return () => {
    const { found } = view.data;
    if (view.failed.found || !found) return [heading("Worker"), waiting(view, "found"), back()];
    const own = found.stacks.filter(({ job }) => job === null);
    const ofJobs = found.stacks.filter(({ job }) => job !== null);
    return [
      heading(`Worker ${found.pool}/${found.slot}`),
      h("p", { class: "note" }, `On ${found.host}, pid ${found.pid}. Nothing is interrupted by looking. `, link("Jobs that it has, or had last", "jobs", null, { worker: view.name })),
      card("Jobs", ofJobs.length || found.note ? stackList({ ...found, stacks: ofJobs }) : h("p", { class: "empty" }, "No job runs.")),
      own.length > 0 && h("details", { class: "card", key: "own" }, h("summary", {}, "taskd's own greenlets and threads"), stackList({ note: "", stacks: own })),
      back(),
    ];
  };
}

function back() {
  return h("p", {}, link("All workers", "workers"));
}
