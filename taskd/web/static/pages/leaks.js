// Tasks that leak: how much a job, since when, and where it is allocated.

import { h } from "../dom.js";
import { bytes, count, when } from "../format.js";
import { breakable, heading, link, waiting } from "../parts.js";
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
      { name: "task", isWide: true, sort: ({ task }) => task, cell: ({ task, pool }) => [link(breakable(task), "jobs", null, { task }), h("small", {}, `in pool ${pool}`)] },
      { name: "leaked a job", isNumber: true, sort: (row) => row.bytes, cell: (row) => [h("b", {}, bytes(row.bytes)), h("small", { class: "line" }, `95 %: ${bytes(row.low)} to ${bytes(row.high)}`)] },
      { name: "jobs seen", isNumber: true, cell: ({ jobs }) => count(jobs) },
      { name: "found by", cell: ({ source }) => source },
      { name: "allocated at", isWide: true, cell: ({ line }) => line && h("code", {}, line.split(/(?<=[/])/).flatMap((part) => [part, h("wbr", {})])) },
      { name: "workers replaced", isNumber: true, cell: ({ recycled }) => `${count(recycled)} today` },
      { name: "last seen", cell: (row) => when(row.seen_at) },
    ],
  });
}
