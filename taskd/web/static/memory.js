// What workers have held, one chart a pool, with the ends of workers and their reasons as marks.

import { chart } from "./chart.js";
import { h } from "./dom.js";
import { bytes, parse } from "./format.js";
import { secondsOf } from "./parts.js";

const MOST_WORKERS = 6;
const STEPS = 90;

/** The charts, none until the memory is known. */
export function memoryCharts(view) {
  const { memory } = view.data;
  if (!memory) return null;
  const points = memory.points.filter(({ worker, pool }) => worker !== null && pool !== null);
  const pools = [...new Set(points.map(({ pool }) => pool))].sort();
  const times = timesOf(secondsOf(view.params));
  return h("div", { class: "charts", key: "memory" }, pools.map((pool) =>
    chart({
      view, id: `memory-${pool}`, label: `Memory of pool ${pool}`, times, format: bytes, base: 1024,
      series: seriesOf(points.filter((point) => point.pool === pool), times, hostsOf(view, points)),
      marks: marksOf(memory.ends.filter((end) => end.pool === pool), times),
    })));
}

function timesOf(seconds) {
  const step = (seconds * 1000) / STEPS;
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

/** A curve for each slot of each host: workers take turns in it, so a recycle is a step down. */
function seriesOf(points, times, hosts) {
  const slots = new Map();
  for (const point of points) {
    const name = `${point.pool}/${point.slot}${hosts.get(point.host) ?? ""}`;
    const slot = `${point.slot} ${point.host}`;
    if (!slots.has(slot)) slots.set(slot, { name, points: [] });
    slots.get(slot).points.push(point);
  }
  const largest = [...slots.values()]
    .sort((one, other) => peak(other.points) - peak(one.points)).slice(0, MOST_WORKERS);
  return largest.sort((one, other) => one.name.localeCompare(other.name))
    .map(({ name, points: own }, color) => ({ name, color, values: valuesOf(own, times) }));
}

function peak(points) {
  return Math.max(...points.map(({ high }) => high));
}

/** What was held in each step: a worker that holds what it held has no point of its own for that. */
function valuesOf(points, times) {
  const step = times[1] - times[0];
  const values = times.map(() => null);
  for (const point of points) {
    const at = Math.floor((parse(point.at) - times[0]) / step);
    if (at >= 0 && at < values.length) values[at] = Math.max(values[at] ?? 0, point.bytes);
  }
  const first = values.findIndex((value) => value !== null);
  const last = values.findLastIndex((value) => value !== null);
  for (let at = first + 1; at < last; at += 1) values[at] ??= values[at - 1];
  return values;
}

function marksOf(ends, times) {
  return ends
    .map((end) => ({ at: parse(end.ended_at), text: `${end.pool}/${end.slot}: ${end.reason ?? "ended"}` }))
    .filter(({ at }) => at >= times[0] && at <= times.at(-1));
}
