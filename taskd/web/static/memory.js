// What workers have held, one chart a pool, with the ends of workers and their reasons as marks.

import { chart } from "./chart.js";
import { h } from "./dom.js";
import { bytes, count, duration, full, parse } from "./format.js";
import { secondsOf, workersOf } from "./parts.js";

const MOST_WORKERS = 6;
const STEPS = 90;
const LEAST_SECONDS = 60;
const MELTED = [600, 60]; // the seconds that an older reading covers

/** The charts, none until the memory is known, and who lives. */
export function memoryCharts(view) {
  const { memory } = view.data;
  if (!memory || !view.data.hosts) return null; // without these nobody would be known to live
  const points = memory.points.filter(({ worker, pool }) => worker !== null && pool !== null);
  const pools = [...new Set(points.map(({ pool }) => pool))].sort();
  const times = timesOf(secondsOf(view.params), points);
  const [hosts, lives] = [hostsOf(view, points), livesOf(view, points)];
  return [h("div", { class: "charts", key: "memory" }, pools.map((pool) =>
    chart({
      view, id: `memory-${pool}`, label: `Memory of pool ${pool}`, times, format: bytes,
      series: seriesOf(points.filter((point) => point.pool === pool), times, hosts, lives),
      marks: marksOf(memory.ends.filter((end) => end.pool === pool), times),
    }))), reach(memory, secondsOf(view.params))];
}

/** From when on readings are there, where that is not the chosen time, and what is a mean of more. */
function reach({ points, since, truncated }, seconds) {
  if (!points.length) return null;
  const first = parse(since);
  const isLate = Date.now() - first < (seconds - points[0].seconds - LEAST_SECONDS) * 1000;
  const told = [
    truncated && `Only the youngest ${count(points.length)} readings are shown, from ${full(first)} on.`,
    !truncated && isLate && `There are readings from ${full(first)} on, and none from before.`,
    ...MELTED.map((stretch) => [stretch, points.findLast((point) => point.seconds === stretch)])
      .map(([stretch, last]) => last && `Up to ${full(parse(last.at))} each is the mean of ${duration(stretch)}.`),
  ].filter(Boolean);
  return told.length > 0 && h("p", { class: "note", key: "reach" }, told.join(" "));
}

/** Of the chosen time, what lies behind the first reading. */
function timesOf(seconds, points) {
  const first = points.reduce((least, { at }) => Math.min(least, parse(at)), Infinity);
  const told = Math.max((Date.now() - first) / 1000, LEAST_SECONDS);
  const step = (Math.min(seconds, told) * 1000) / STEPS;
  const now = Math.floor(Date.now() / step) * step;
  return Array.from({ length: STEPS + 1 }, (_, at) => now - (STEPS - at) * step);
}

/** What tells the workers of one host from those of others; nothing where there is one host. */
function hostsOf(view, points) {
  const ids = [...new Set(points.map(({ host }) => host))];
  const living = view.data.hosts ?? [];
  const named = (id) => {
    const host = living.find((each) => each.id === id);
    if (!host) return `host ${id}, which has ended`;
    return living.filter(({ name }) => name === host.name).length > 1 ? `${host.name}, pid ${host.pid}` : host.name;
  };
  return new Map(ids.length < 2 ? [] : ids.map((id) => [id, ` on ${named(id)}`]));
}

/** From when until when each worker lives: so long its first and its last reading hold. */
function livesOf(view, points) {
  const lives = new Map(points.map(({ worker, at }) => [worker, { from: parse(at), to: parse(at) }]));
  for (const { id, process } of workersOf(view.data.hosts)) {
    lives.set(id, { from: parse(process.started) ?? lives.get(id)?.from, to: Date.now() });
  }
  for (const { worker, started_at: from, ended_at: to } of view.data.memory.ends) {
    lives.set(worker, { from: parse(from), to: parse(to), hasEnded: true });
  }
  return lives;
}

/** A curve for each slot of each host: workers take turns in it, so a recycle is a step down. */
function seriesOf(points, times, hosts, lives) {
  const slots = new Map();
  for (const point of points) {
    const slot = `${point.slot} ${point.host}`;
    if (!slots.has(slot)) slots.set(slot, { name: `${point.pool}/${point.slot}${hosts.get(point.host) ?? ""}`, workers: new Map() });
    const { workers } = slots.get(slot);
    if (!workers.has(point.worker)) workers.set(point.worker, []);
    workers.get(point.worker).push(point);
  }
  const peak = ({ workers }) => [...workers.values()].flat().reduce((most, { high }) => Math.max(most, high), 0);
  const largest = [...slots.values()].sort((one, other) => peak(other) - peak(one)).slice(0, MOST_WORKERS);
  return largest.sort((one, other) => one.name.localeCompare(other.name))
    .map(({ name, workers }, color) => ({ name, color, values: valuesOf(workers, times, lives), hasEnded: hasEnded(workers, times, lives) }));
}

/** Whether nobody has been in a slot since the last step. */
function hasEnded(workers, times, lives) {
  return [...workers.keys()].every((worker) => lives.get(worker).to < times.at(-1));
}

/**
 * What was held in each step, and in that of a worker's end the most that it had held since its last
 * reading but one: for that it may have ended. A worker that holds
 * what it held has no reading of its own for that, so each holds until the next.
 */
function valuesOf(workers, times, lives) {
  const step = times[1] - times[0];
  const place = (at) => Math.floor((at - times[0]) / step);
  const values = times.map(() => null);
  for (const [worker, points] of workers) {
    points.forEach((point, number) => {
      const { from, to, hasEnded } = lives.get(worker);
      const first = place(number ? parse(point.at) : Math.min(from, parse(point.at)));
      const next = points[number + 1];
      const last = Math.max(next ? place(parse(next.at)) - 1 : place(to), first);
      for (let at = Math.max(first, 0); at <= Math.min(last, values.length - 1); at += 1) {
        const isEnd = hasEnded && !next && at === last;
        values[at] = Math.max(values[at] ?? 0, isEnd ? point.high : point.bytes);
      }
    });
  }
  return values;
}

function marksOf(ends, times) {
  return ends
    .map((end) => ({ at: parse(end.ended_at), text: `${end.pool}/${end.slot} ended${end.reason ? `: ${end.reason}` : ""}` }))
    .filter(({ at }) => at >= times[0] && at <= times.at(-1));
}
