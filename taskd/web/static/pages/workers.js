// Hosts with the tree of their processes, the slots of pools, and what workers hold of memory.

import { may, offers } from "../api.js";
import { h } from "../dom.js";
import { bytes, count, many, when } from "../format.js";
import { order } from "../orders.js";
import { badge, heading, link, rangeOf, ranges, waiting } from "../parts.js";
import { memoryCharts } from "../memory.js";
import { table } from "../table.js";

const ORDER = ["master", "maintenance", "seed", "forkserver", "worker"];

export const title = () => "Workers";

export function open(view) {
  view.load("hosts", "/workers", {}, 2);
  view.load("pools", "/pools", {}, 2);
  if (offers("/memory")) view.load("memory", "/memory", { last: rangeOf(view.params) }, 10);
  return () => [
    heading("Workers", offers("/memory") && ranges("workers", view.params)),
    view.data.hosts ? [pools(view), view.data.hosts.length ? view.data.hosts.map((host) => processes(view, host)) : nobody()] : waiting(view, "hosts"),
    memoryCharts(view),
  ];
}

function nobody() {
  return h("p", { class: "card empty" }, "No daemon lives: nothing runs until one is started.");
}

function pools(view) {
  return table({
    view, id: "pools", label: "Pools", rows: view.data.pools ?? [], key: ({ name }) => name, empty: "No pool has a worker.",
    columns: [
      { name: "pool", cell: ({ name }) => h("b", {}, name) },
      { name: "workers", isNumber: true, cell: ({ workers }) => count(workers) },
      { name: "claimed jobs", isNumber: true, cell: ({ running }) => count(running) },
      { name: "slots", isNumber: true, cell: ({ slots }) => count(slots) },
      { name: "slots used", cell: ({ running, slots }) => h("meter", { min: "0", max: String(slots || 1), value: String(Math.min(running, slots)), "aria-label": `${running} of ${slots} slots are used` }) },
    ],
  });
}

function processes(view, host) {
  const mayOrder = may("workers/drain") || may("workers/stop");
  const rank = (each) => ORDER.indexOf(each.role);
  const rows = [...host.processes].sort((one, other) => rank(one) - rank(other) || (one.pool ?? "").localeCompare(other.pool ?? "") || (one.slot ?? 0) - (other.slot ?? 0));
  return table({
    view, id: `host-${host.id}`, label: `Host ${host.name}`, rows, key: ({ pid }) => pid, empty: "It has not told its processes yet.",
    title: [h("div", {},
      h("h2", {}, host.name, " ", badge(stateOf(host))),
      h("small", {}, `pid ${host.pid}, taskd ${host.version}, started `, when(host.started_at), host.silent && `, last heard of ${Math.round(host.beat_age)} s ago`)), mayOrder && hostOrders(view, host)],
    columns: [
      { name: "process", cell: (row) => h("b", {}, row.role === "worker" ? nameOf(row) : [row.role, row.pool].filter(Boolean).join(" "), row.canary && " (canary)") },
      { name: "pid", isNumber: true, cell: ({ pid }) => String(pid) },
      { name: "state", cell: ({ state }) => badge(state) },
      { name: "running jobs", isNumber: true, cell: (row) => (row.role === "worker" ? jobsOf(row) : "") },
      { name: "memory", isNumber: true, sort: (row) => row.memory_bytes, cell: (row) => bytes(row.memory_bytes) },
      { name: "its children", isNumber: true, isIf: rows.some((row) => row.children_bytes), cell: (row) => (row.children_bytes ? bytes(row.children_bytes) : "") },
      { name: "peak", isNumber: true, sort: (row) => row.peak_bytes, cell: (row) => (row.peak_bytes ? bytes(row.peak_bytes) : "") },
      { name: "leak suspected", isIf: rows.some((row) => row.suspect_bytes_per_job), cell: (row) => (row.suspect_bytes_per_job ? h("span", { class: "error" }, `${bytes(row.suspect_bytes_per_job)} a job`) : "") },
      { name: "started", cell: (row) => when(row.started) },
      { name: "orders", isIf: mayOrder, cell: (row) => orders(view, row, host) },
    ].filter(({ name, isIf }) => isIf === undefined || isIf),
  });
}

/** A host with nothing to do but what is in its workers' hands is at work. */
function stateOf({ silent, idle, processes }) {
  if (silent) return "silent";
  if (processes.some(({ in_flight: jobs }) => jobs > 0)) return "busy";
  return idle ? "idle" : "active";
}

function jobsOf({ worker, in_flight: jobs }) {
  return worker && jobs ? link(count(jobs), "jobs", null, { worker, state: "running" }) : count(jobs);
}

/** A worker's name; it leads to where its jobs stand. */
function nameOf(row) {
  const name = `${row.pool}/${row.slot}`;
  return row.worker && offers("/workers/{id}/stacks") ? link(name, "workers", row.worker) : name;
}

function orders(view, row, host) {
  if (!row.worker || row.state === "exiting") return null;
  const name = `${row.pool}/${row.slot} on ${host.name}, pid ${row.pid}`;
  return h("div", { class: "orders" },
    row.state !== "draining" && order(view, { kind: "workers/drain", label: "Drain", name, path: `/workers/${row.worker}/drain`, question: `Drain ${name}? It takes no more jobs once another has taken its place.`, done: `${name} drains once another is at work.` }),
    order(view, { kind: "workers/stop", label: "Stop", name, path: `/workers/${row.worker}/stop`, isDangerous: true, question: `Stop ${name}? What it runs is interrupted and given back.`, done: `${name} stops.` }));
}

/** The same for all workers of a daemon, of which a machine may have several. */
function hostOrders(view, { id, name: machine, pid, processes }) {
  const name = `${machine}, pid ${pid}`;
  const heard = (word) => ({ workers: number }) => `${many(number, "worker")} of ${name} ${word}${number === 1 ? "s" : ""}.`;
  const workers = processes.filter(({ worker, state }) => worker && state !== "exiting");
  const standing = workers.filter(({ state }) => state !== "draining");
  return h("div", { class: "orders last" },
    order(view, { kind: "hosts/drain", label: "Drain all", name, path: `/hosts/${id}/drain`, isOff: !standing.length, question: `Drain all workers of ${name}? Each takes no more jobs once another has taken its place.`, done: heard("drain") }),
    order(view, { kind: "hosts/stop", label: "Stop all", name, path: `/hosts/${id}/stop`, isOff: !workers.length, isDangerous: true, question: `Stop all workers of ${name}? What they run is interrupted and given back; others take their places.`, done: heard("stop") }));
}
