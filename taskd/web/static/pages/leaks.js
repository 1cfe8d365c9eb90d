// Tasks that leak: how much a job, since when, and where it is allocated.

import { h } from "../dom.js";
import { bytes, count, when } from "../format.js";
import { heading, link, waiting } from "../parts.js";
import { table } from "../table.js";

export const title = () => "Leaks";

export function open(view) {
  view.load("leaks", "/leaks", {}, 10);
  return () => [heading("Leaks"), view.data.leaks ? list(view) : waiting(view, "leaks")];
}

function list(view) {
  return table({
    view, id: "leaks", label: "Tasks that leak", rows: view.data.leaks, key: ({ pool, task }) => `${pool} ${task}`, empty: "No task is known to leak.",
    columns: [
      { name: "task", isWide: true, sort: ({ task }) => task, cell: ({ task }) => link(task, "jobs", null, { task }) },
      { name: "pool", cell: ({ pool }) => pool },
      { name: "leaked a job", isNumber: true, sort: (row) => row.bytes, cell: (row) => h("b", {}, bytes(row.bytes)) },
      { name: "between (95 % sure)", isNumber: true, cell: ({ low, high }) => `${bytes(low)} – ${bytes(high)}` },
      { name: "jobs seen", isNumber: true, cell: ({ jobs }) => count(jobs) },
      { name: "found by", cell: ({ source }) => source },
      { name: "allocated at", isWide: true, cell: ({ line }) => line && h("code", {}, line) },
      { name: "workers replaced today", isNumber: true, cell: ({ recycled }) => count(recycled) },
      { name: "last seen", cell: (row) => when(row.seen_at) },
    ],
  });
}
