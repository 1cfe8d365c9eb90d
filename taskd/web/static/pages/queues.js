// What waits and runs in each queue, how long it will take, and what can be done about it.

import { may } from "../api.js";
import { h } from "../dom.js";
import { NONE, count, duration, many, rate } from "../format.js";
import { order } from "../orders.js";
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
  const rates = new Map((view.data.stats?.rows ?? []).map((row) => [row.name, row.jobs_per_second]));
  const speed = (row) => rates.get(row.queue) ?? 0;
  const left = (row) => (row.runnable && speed(row) ? row.runnable / speed(row) : null);
  const of = (state) => ({
    name: state, isNumber: true, sort: (row) => row[state],
    cell: (row) => row[state] ? link(count(row[state], row.is_exact), "jobs", null, { queue: row.queue, state }) : "0",
  });
  return table({
    view, id: "queues", label: "By queue", rows: view.data.queues, empty: "No queue has been used yet.",
    key: (row) => `${row.queue}${row.requires === null ? "" : `@${row.requires}`}`,
    columns: [
      { name: "queue", sort: (row) => row.queue, cell: (row) => name(row) },
      of("queued"), of("running"), of("scheduled"), of("blocked"),
      { name: "oldest", isNumber: true, sort: (row) => row.queued_seconds, cell: (row) => duration(row.queued_seconds) },
      { name: "rate", isNumber: true, sort: speed, cell: (row) => rate(speed(row)) },
      { name: "drained in", isNumber: true, sort: left, cell: (row) => (left(row) === null ? NONE : duration(left(row))) },
      ["pause", "resume", "move", "purge"].some((what) => may(`queues/${what}`)) && { name: "orders", cell: (row) => orders(view, row) },
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
  // Orders are for the whole queue, so they stand in the first of its rows.
  if (view.data.queues.find((each) => each.queue === queue) !== row) return null;
  const path = `/queues/${encodeURIComponent(queue)}`;
  return h("div", { class: "orders" },
    row.paused
      ? order(view, { kind: "queues/resume", label: "Resume", name: queue, path: `${path}/resume`, done: `${queue} goes on.` })
      : order(view, { kind: "queues/pause", label: "Pause", name: queue, path: `${path}/pause`, question: `Pause ${queue}? What runs goes on, nothing new begins.`, done: `${queue} is paused.` }),
    order(view, {
      kind: "queues/move", label: "Move", name: queue, path: `${path}/move`, isOff: !row.queued && !row.scheduled && !row.blocked,
      question: `Move what waits in ${queue}`, fields: [{ name: "to", label: "To the queue", options: others(view, queue) }],
      body: ({ to }) => ({ to }), done: ({ done, more }) => `Moved ${many(done, "job")} from ${queue}${more ? "; more are left: move them again" : ""}.`,
    }),
    order(view, {
      kind: "queues/purge", label: "Purge", name: queue, path: `${path}/purge`, isDangerous: true, isOff: !row.queued && !row.scheduled && !row.blocked,
      question: `Cancel all that waits in ${queue}: ${many(row.queued + row.scheduled + row.blocked, "job")}?`,
      done: ({ done, more }) => `Cancelled ${many(done, "job")} of ${queue}${more ? "; more are left: purge it again" : ""}.`,
    }));
}

function others(view, queue) {
  return [...new Set(view.data.queues.map((row) => row.queue))].filter((each) => each !== queue);
}
