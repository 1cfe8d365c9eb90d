// The functions that run: how often, how long, how often in vain, and what they need for it.

import { h } from "../dom.js";
import { NONE, bytes, count, duration, percent, rate } from "../format.js";
import { breakable, choices, heading, link, prose, rangeOf, ranges, waiting } from "../parts.js";
import { table } from "../table.js";

const FIRST = [
  { value: "busy", text: "Busiest", title: "Who runs most first", column: null },
  { value: "cpu", text: "Most CPU", title: "Hungriest for CPU first", column: "CPU a job" },
  { value: "memory", text: "Most memory", title: "Hungriest for memory first", column: "memory a job" },
];

export const title = () => "Tasks";

export function open(view) {
  const { params } = view;
  const last = rangeOf(params);
  view.load("stats", "/stats", { last, by: "task" }, last === "15m" ? 5 : 30);
  view.load("tasks", "/tasks", {}, 60);
  return () => [
    heading("Tasks",
      choices({ label: "What comes first", kind: "tasks", params, name: "first", chosen: firstOf(params).value, options: FIRST }),
      ranges("tasks", params)),
    view.data.stats && view.data.tasks ? list(view) : waiting(view, view.failed.tasks ? "tasks" : "stats"),
  ];
}

function firstOf(params) {
  return FIRST.find(({ value }) => value === params.first) ?? FIRST[0];
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
  // below: a second figure, in small; by: what is sorted by, if that is not what is shown.
  const of = (name, read, format, { by = read, below = null } = {}) => ({
    name, isNumber: true, sort: ({ figures }) => (figures ? by(figures) : null),
    cell: ({ figures }) => (figures ? [format(read(figures)), below && h("small", { class: "line" }, below(figures))] : NONE),
  });
  return table({
    view, id: "tasks", label: "By task", rows: rows(view), of: rangeOf(view.params), key: ({ name }) => name,
    first: firstOf(view.params).column, empty: "No running daemon offers a task.",
    columns: [
      { name: "task", isWide: true, sort: ({ name }) => name, cell: name },
      of("rate", (figures) => figures.jobs_per_second, rate, { below: (figures) => `${count(figures.succeeded + figures.failed)} ended` }),
      of("failed", (figures) => figures.failure_rate, percent),
      of("run, 50 %", (figures) => figures.run.p50, duration),
      of("run, 95 %", (figures) => figures.run.p95, duration),
      of("run, 99 %", (figures) => figures.run.p99, duration),
      of("run in all", (figures) => (figures.run.mean ?? 0) * figures.run.count, duration),
      // Who is hungry takes much in all, be it little at a time.
      of("CPU a job", (figures) => each(figures, figures.cpu_seconds), duration, { by: (figures) => figures.cpu_seconds, below: (figures) => `${duration(figures.cpu_seconds)} in all` }),
      of("memory a job", (figures) => each(figures, figures.memory_growth) || null, bytes, { by: (figures) => figures.memory_growth }),
      { name: "queue", cell: place },
    ],
  });
}

/** The part of a sum that falls to one attempt; nothing before one has ended. */
function each(figures, sum) {
  return figures.run.count ? sum / figures.run.count : null;
}

function place({ task }) {
  if (!task) return "offered by nobody";
  return [task.queue ?? NONE, h("small", { class: "rigid line" }, `pools ${task.pools.join(", ")}`)];
}

function name({ name: text, task }) {
  return [
    link(breakable(text), "jobs", null, { task: text }),
    task && h("small", {}, task.signature),
    task?.doc && h("details", {}, h("summary", {}, prose(task.summary || "About")), h("pre", {}, prose(task.doc))),
  ];
}
