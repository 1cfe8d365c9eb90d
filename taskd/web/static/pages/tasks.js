// The functions that run: how often, how long, how often in vain.

import { h } from "../dom.js";
import { NONE, count, duration, percent, rate } from "../format.js";
import { heading, link, rangeOf, ranges, waiting } from "../parts.js";
import { table } from "../table.js";

export const title = () => "Tasks";

export function open(view) {
  const last = rangeOf(view.params);
  view.load("stats", "/stats", { last, by: "task" }, last === "15m" ? 5 : 30);
  view.load("tasks", "/tasks", {}, 60);
  return () => [
    heading("Tasks", ranges("tasks", view.params)),
    view.data.stats && view.data.tasks ? list(view) : waiting(view, view.failed.tasks ? "tasks" : "stats"),
  ];
}

/** A row for each task that is offered or has run. */
function rows({ data }) {
  const found = new Map(data.tasks.map((task) => [task.name, { name: task.name, task, figures: null }]));
  for (const figures of data.stats.rows) {
    const row = found.get(figures.name) ?? { name: figures.name, task: null };
    found.set(figures.name, { ...row, figures });
  }
  // What runs most stands first; a plain function of a module that nobody enqueues, last.
  const busy = ({ figures, task }) => (figures ? figures.started + 1 : task?.decorated ? 0.5 : 0);
  return [...found.values()].sort((one, other) => busy(other) - busy(one) || one.name.localeCompare(other.name));
}

function list(view) {
  const of = (name, read, format) => ({
    name, isNumber: true, sort: ({ figures }) => (figures ? read(figures) : null),
    cell: ({ figures }) => (figures ? format(read(figures)) : NONE),
  });
  return table({
    view, id: "tasks", label: "By task", rows: rows(view), of: rangeOf(view.params), key: ({ name }) => name,
    empty: "No running daemon offers a task.",
    columns: [
      { name: "task", isWide: true, sort: ({ name }) => name, cell: name },
      of("rate", (figures) => figures.jobs_per_second, rate),
      of("ended", (figures) => figures.succeeded + figures.failed, count),
      of("failures", (figures) => figures.failure_rate, percent),
      of("50 %", (figures) => figures.run.p50, duration),
      of("95 %", (figures) => figures.run.p95, duration),
      of("99 %", (figures) => figures.run.p99, duration),
      of("in all", (figures) => (figures.run.mean ?? 0) * figures.run.count, duration),
      { name: "queue", cell: ({ task }) => task?.queue ?? NONE },
      { name: "pools", cell: ({ task }) => (task ? task.pools.join(", ") : "offered by nobody") },
    ],
  });
}

function name({ name: text, task }) {
  return [
    link(text, "jobs", null, { task: text }),
    task && h("small", {}, task.signature),
    task?.doc && h("details", {}, h("summary", {}, task.summary || "About"), h("pre", {}, task.doc)),
  ];
}
