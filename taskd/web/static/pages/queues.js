// What waits and runs in each queue, how long it will take, and what can be done about it.

import { may } from "../api.js";
import { h } from "../dom.js";
import { count, duration, rate } from "../format.js";
import { order, orderJobs } from "../orders.js";
import { badge, heading, link, waiting } from "../parts.js";
import { table } from "../table.js";

export const title = () => "Queues";

export function open(view) {
  view.load("stats", "/stats", { last: "15m", by: "queue" }, 10);
  view.live(({ queues }) => { view.data.queues = queues; });
  return () => [
    heading("Queues"),
    view.data.queues ? list(view) : waiting(view, "stats"),
  ];
}

function list(view) {
  const { queues } = view.data;
  const rates = new Map((view.data.stats?.rows ?? []).map((row) => [row.name, row.jobs_per_second]));
  // What is known of a whole queue stands in the first of its rows, one for each version of the code.
  const first = new Set([...new Map([...queues].reverse().map((row) => [row.queue, row])).values()]);
  const speed = (row) => (first.has(row) ? rates.get(row.queue) ?? 0 : null);
  const runnable = (queue) => queues.reduce((sum, row) => sum + (row.queue === queue ? row.runnable : 0), 0);
  const left = (row) => (speed(row) ? runnable(row.queue) / speed(row) || null : null);
  const of = (state) => ({
    name: state, isNumber: true, sort: (row) => row[state],
    cell: (row) => row[state] ? link(count(row[state], row.is_exact), "jobs", null, { queue: row.queue, state }) : "0",
  });
  return table({
    view, id: "queues", label: "By queue", rows: queues, empty: "No queue has been used yet.",
    key: (row) => `${row.queue}${row.requires === null ? "" : `@${row.requires}`}`,
    columns: [
      { name: "queue", sort: (row) => row.queue, cell: (row) => name(row) },
      of("queued"), of("running"), of("scheduled"), of("blocked"),
      { name: "oldest", isNumber: true, sort: (row) => row.queued_seconds, cell: (row) => duration(row.queued_seconds) },
      { name: "rate", isNumber: true, sort: speed, cell: (row) => (first.has(row) ? rate(speed(row)) : "") },
      { name: "drained in", isNumber: true, sort: left, cell: (row) => (first.has(row) ? duration(left(row)) : "") },
      ["pause", "resume", "move", "purge"].some((what) => may(`queues/${what}`)) && { name: "orders", cell: (row) => first.has(row) && orders(view, row) },
    ].filter(Boolean),
  });
}

function name(row) {
  return [
    link(row.queue, "jobs", null, { queue: row.queue }),
    row.requires !== null && h("small", {}, ` code ${row.requires}`),
    row.paused && [" ", badge("paused")],
    !row.offered && [" ", h("span", { class: "badge failed", title: "No running worker offers this version of the code." }, "no worker")],
  ];
}

function orders(view, row) {
  const { queue } = row;
  const path = `/queues/${encodeURIComponent(queue)}`;
  const isEmpty = view.data.queues.every((each) => each.queue !== queue || !(each.queued || each.scheduled || each.blocked));
  return h("div", { class: "orders" },
    row.paused
      ? order(view, { kind: "queues/resume", label: "Resume", name: queue, path: `${path}/resume`, done: `${queue} goes on.` })
      : order(view, { kind: "queues/pause", label: "Pause", name: queue, path: `${path}/pause`, question: `Pause ${queue}? What runs goes on, nothing new begins.`, done: `${queue} is paused.` }),
    orderJobs(view, {
      kind: "queues/move", label: "Move", name: queue, path: `${path}/move`, target: {}, isOff: isEmpty,
      question: `Move what waits in ${queue}?`, fields: [{ name: "to", label: "To the queue", options: others(view, queue) }],
    }),
    orderJobs(view, {
      kind: "queues/purge", label: "Purge", name: queue, path: `${path}/purge`, target: {}, isDangerous: true, isOff: isEmpty,
      question: `Cancel all that waits in ${queue}?`,
    }));
}

function others(view, queue) {
  return [...new Set(view.data.queues.map((row) => row.queue))].filter((each) => each !== queue);
}
