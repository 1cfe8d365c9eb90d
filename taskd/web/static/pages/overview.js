// What a person on call looks at first: is work done, how fast, what fails, what piles up.

import { offers } from "../api.js";
import { chart, steps } from "../chart.js";
import { h } from "../dom.js";
import { NONE, count, duration, many, percent, rate } from "../format.js";
import { card, heading, link, prose, rangeOf, ranges, secondsOf, tile, waiting } from "../parts.js";

const MOST_QUEUES = 6;
const LEAST_PART = 0.3;

export const title = () => "Overview";

export function open(view) {
  const last = rangeOf(view.params);
  const slow = last === "15m" ? 5 : 30;
  view.load("curves", "/stats/curves", { last }, slow);
  view.load("all", "/stats", { last, by: "all" }, slow);
  view.load("queues", "/queues", {}, null); // until the first moment comes
  if (offers("/stalls")) view.load("stalls", "/stalls", {}, 10);
  view.live((moment) => { view.data.now = moment; });
  return () => [
    heading("Overview", ranges("overview", view.params)),
    tiles(view),
    stalls(view),
    h("div", { class: "charts" }, charts(view)),
  ];
}

function tiles({ data }) {
  const all = data.all?.rows[0];
  const queues = data.now?.queues ?? data.queues ?? [];
  const sum = (name) => queues.reduce((total, queue) => total + queue[name], 0);
  const oldest = Math.max(...queues.map((queue) => queue.queued_seconds ?? 0), 0);
  const paused = new Set(queues.filter((queue) => queue.paused).map(({ queue }) => queue)).size;
  const isExact = queues.every((queue) => queue.is_exact);
  const isKnown = (data.now ?? data.queues) !== undefined;
  const failing = all?.failure_rate ?? null;
  return h("dl", { class: "tiles" },
    tile("Throughput", data.all ? rate(all?.jobs_per_second ?? 0) : NONE),
    tile("Failures", data.all ? percent(failing ?? 0) : NONE, null, failing > 0.05 ? "bad" : null),
    tile("Wait to start", duration(all?.wait_for_worker.p95 ?? null), "95 % waited less"),
    tile("Running", isKnown ? count(sum("running")) : NONE),
    tile("Queued", isKnown ? count(sum("queued"), isExact) : NONE, `${count(sum("runnable"))} could start`),
    tile("Oldest queued", isKnown ? duration(oldest) : NONE, "waits for a worker"),
    tile("Scheduled", isKnown ? count(sum("scheduled"), isExact) : NONE, `${count(sum("blocked"))} blocked`),
    tile("Workers", count(data.now?.workers), paused ? `${many(paused, "queue")} paused` : null, data.now?.workers === 0 ? "bad" : null));
}

/** Where jobs could run and nothing begins. It has its place also while there is nothing to tell. */
function stalls(view) {
  if (!offers("/stalls")) return null;
  const found = view.data.stalls?.stalls;
  if (!found) return card("Stalls", waiting(view, "stalls"));
  return card("Stalls", found.length
    ? h("ul", { class: "stalls" }, found.map(stall))
    : h("p", { class: "empty" }, "None: wherever jobs could run and slots are free, jobs begin."));
}

function stall({ queue, requires, is_overdue: isOverdue, text, remedy }) {
  return h("li", { key: `${queue} ${requires} ${isOverdue}` },
    h("p", { class: "error" }, text),
    h("p", { class: "note" }, "What to do: ", prose(remedy), ". ", link(`Queue ${queue}`, "jobs", null, { queue, state: isOverdue ? "scheduled" : "queued" })));
}

function charts(view) {
  const { data, params } = view;
  if (!data.curves) return h("p", { class: "empty", role: "status" }, view.failed.curves?.message ?? "Loading …");
  const { step, points, backlog } = data.curves;
  const times = begun(steps(secondsOf(params), step), step);
  const at = place(times, points);
  const seconds = times.map((time) => Math.max(Math.min(step, (Date.now() - time) / 1000), step / 10));
  const each = (read) => at.map((point, number) => read(point, seconds[number]));
  return [
    chart({ view, id: "throughput", label: "Throughput", times, format: rate, isStacked: true, series: [
      { name: "succeeded", color: "good", values: each((point, time) => (point?.succeeded ?? 0) / time) },
      { name: "failed", color: "bad", values: each((point, time) => (point?.failed ?? 0) / time) },
    ] }),
    chart({ view, id: "latency", label: "Latency, queue to start", times, format: duration, series: [
      { name: "50 % within", color: 0, values: each((point) => point?.wait_for_worker.p50 ?? null) },
      { name: "95 % within", color: 1, values: each((point) => point?.wait_for_worker.p95 ?? null) },
      { name: "99 % within", color: 2, values: each((point) => point?.wait_for_worker.p99 ?? null) },
    ] }),
    chart({ view, id: "failures", label: "Attempts that failed", times, format: percent, top: 0.01, series: [
      { name: "of those that ended", color: "bad", values: each((point) => point?.failure_rate ?? 0) },
    ] }),
    ...waitingCharts(view, times, backlog),
  ];
}

/** Without the step that goes on while so little of it has passed that it says nothing. */
function begun(times, step) {
  const passed = (Date.now() - times.at(-1)) / 1000;
  return passed < step * LEAST_PART ? times.slice(0, -1) : times;
}

function waitingCharts(view, times, backlog) {
  const queued = backlog.filter(({ state }) => state === "queued");
  const names = largest(queued);
  if (!names.length) {
    return [h("section", { class: "card", key: "backlog" }, h("h2", {}, "Backlog by queue"),
      h("p", { class: "empty" }, "Nothing has waited in this time. ", link("Queues", "queues")))];
  }
  const isNoted = backlog.some(({ at }) => Date.parse(at) === times.at(-1));
  const series = (read) => names.map((name, color) => {
    const at = place(times, queued.filter(({ queue }) => queue === name));
    // The backlog of the step that goes on may not have been noted yet.
    return { name, color, values: at.map((point, number) => (isNoted || number < at.length - 1 ? read(point) : null)) };
  });
  return [
    chart({ view, id: "backlog", label: "Backlog by queue", times, format: count, isStacked: true, series: series((point) => point?.jobs ?? 0) }),
    chart({ view, id: "age", label: "Age of the oldest, by queue", times, format: duration, series: series((point) => point?.age ?? 0) }),
  ];
}

/** The queues with the most, by name. */
function largest(points) {
  const most = new Map();
  for (const { queue, jobs } of points) most.set(queue, Math.max(most.get(queue) ?? 0, jobs));
  return [...most].sort((one, other) => other[1] - one[1]).slice(0, MOST_QUEUES).map(([name]) => name).sort();
}

/** Each point at the time of its step; undefined where there is none. */
function place(times, points) {
  const found = new Map(points.map((point) => [Date.parse(point.at), point]));
  return times.map((time) => found.get(time));
}
