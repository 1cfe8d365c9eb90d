// Jobs by filter, a page at a time, and orders for those that are chosen or for all that match.

import { may, offers } from "../api.js";
import { h } from "../dom.js";
import { between, call, duration, inline, when } from "../format.js";
import { orderJobs } from "../orders.js";
import { ENDED, address, badge, heading, jobLink, link, waiting, workersOf } from "../parts.js";
import { table } from "../table.js";

const STATES = ["queued", "running", "scheduled", "blocked", "cancelling", "succeeded", "failed", "cancelled"];
const TEXTS = [
  { name: "queue", label: "Queue" },
  { name: "task", label: "Task" },
  { name: "since", label: "Enqueued since", example: "1h", list: "names-spans" },
  { name: "error", label: "Error holds", example: "Timeout" },
  { name: "until", label: "Enqueued before", example: "2030-01-31 08:00", list: "names-spans", isRare: true },
  { name: "finished_since", label: "Ended since", example: "15m", list: "names-spans", isRare: true },
  { name: "finished_until", label: "Ended before", example: "2030-01-31 08:00", list: "names-spans", isRare: true },
  { name: "cause", label: "Cause", isRare: true },
  { name: "args", label: "Arguments begin with", example: "[42]", isRare: true },
  { name: "kwargs", label: "Keywords hold", example: '{"to": "x"}', isRare: true },
  { name: "older_than", label: "Older than", example: "15m", isRare: true },
  { name: "worker", label: "Worker", example: "io/0", list: "names-workers", isRare: true },
  { name: "group", label: "Flow", isRare: true },
];
const FILTERS = ["state", ...TEXTS.map(({ name }) => name)];
const MOMENTS = ["since", "until", "finished_since", "finished_until"];
const SPANS = ["15m", "1h", "6h", "1d", "7d"];
const NUMBERS = ["worker", "group"];
const ORDERS = ["cancel", "requeue", "move", "delete"];

export const title = () => "Jobs";

export function open(view) {
  view.chosen = new Set();
  const { before } = view.params;
  const query = { ...filterOf(view.params), before, limit: 50 };
  view.load("page", "/jobs", query, before ? null : 3);
  view.load("queues", "/queues", {}, null);
  view.load("tasks", "/tasks", {}, null);
  view.hosts = view.load("hosts", "/workers", {}, null);
  return () => [
    heading("Jobs"),
    form(view),
    view.data.page ? list(view) : waiting(view, "page"),
  ];
}

function filterOf(params) {
  return Object.fromEntries(FILTERS.filter((name) => params[name]).map((name) => [name, params[name]]));
}

/** What the viewer means by a time without a zone is that of his own; the server is told which. */
function withZone(given) {
  const zoned = (text) => {
    const [, day, time = "00:00"] = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?))?$/.exec(text.trim()) ?? [];
    const at = day ? new Date(`${day}T${time}`) : null;
    return at && !Number.isNaN(at.getTime()) ? at.toISOString() : text.trim();
  };
  return Object.fromEntries(Object.entries(given).map(([name, text]) => [name, MOMENTS.includes(name) ? zoned(text) : text]));
}

/**
 * A worker is known to people by its name, or only pool and slot of that, and to the server by its id.
 * Null if several are named so.
 */
function withWorker(view, given) {
  const wanted = given.worker?.trim() ?? "";
  const found = workersOf(view.data.hosts).filter(({ name }) => name === wanted || name.startsWith(`${wanted} on `));
  if (found.length > 1) return null;
  return { ...given, worker: found.length ? String(found[0].id) : wanted };
}

function shownWorker({ data, params }) {
  return workersOf(data.hosts).find(({ id }) => String(id) === params.worker)?.name ?? params.worker ?? "";
}

/** A time of an address as its viewer writes it; any other text as it is. */
function local(text) {
  const at = /^\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:\d\d)$/.test(text) ? new Date(text) : null;
  if (!at || Number.isNaN(at.getTime())) return text;
  const shifted = new Date(at.getTime() - at.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 19).replace("T", " ").replace(/:00$/, "");
}

function form(view) {
  const { params } = view;
  const isRareUsed = TEXTS.some(({ name, isRare }) => isRare && params[name]);
  const search = async (event) => {
    event.preventDefault();
    const { target } = event;
    await view.hosts;
    if (view.isClosed) return;
    const given = withWorker(view, withZone(Object.fromEntries(new FormData(target))));
    if (given) location.hash = address("jobs", null, filterOf(given));
    else refuse(target.elements.worker, "Several workers are named so: choose one.");
  };
  const shown = TEXTS.filter(({ name }) => offers("/jobs", name));
  return h("form", { class: "card filter", role: "search", "aria-label": "Filter jobs", onsubmit: search },
    h("label", {}, h("span", {}, "State"), h("select", { name: "state" },
      h("option", { value: "" }, "any"),
      STATES.map((state) => h("option", { value: state, selected: params.state === state }, state)))),
    shown.filter(({ isRare }) => !isRare).map((each) => text(view, each)),
    h("details", { class: "rare", open: isRareUsed }, h("summary", {}, "More"), h("div", {}, shown.filter(({ isRare }) => isRare).map((each) => text(view, each)))),
    h("div", { class: "buttons" },
      h("button", { class: "primary" }, "Show"),
      h("a", { class: "button", href: address("jobs") }, "Clear")),
    names("spans", SPANS),
    names("workers", workersOf(view.data.hosts).map(({ name }) => name)),
    names("queues", [...new Set((view.data.queues ?? []).map(({ queue }) => queue))]),
    names("tasks", (view.data.tasks ?? []).map(({ name }) => name)));
}

/** Say at a field why it cannot be taken, until it is changed. */
function refuse(field, why) {
  field.setCustomValidity(why);
  field.reportValidity();
  field.addEventListener("input", () => field.setCustomValidity(""), { once: true });
}

function text(view, { name, label, example, list: own }) {
  const { params } = view;
  const shown = MOMENTS.includes(name) ? local(params[name] ?? "") : name === "worker" ? shownWorker(view) : params[name] ?? "";
  const list = own ?? { queue: "names-queues", task: "names-tasks" }[name];
  return h("label", {}, h("span", {}, label),
    h("input", { name, value: shown, placeholder: example && `as ${example}`, list, autocomplete: "off", spellcheck: "false" }));
}

function names(kind, values) {
  return h("datalist", { id: `names-${kind}` }, values.map((value) => h("option", { value, key: value })));
}

function list(view) {
  const { jobs } = view.data.page;
  const mayOrder = ORDERS.some((what) => may(`jobs/${what}`));
  return [
    table({
      view, id: "jobs", label: "Jobs, newest first", rows: jobs, key: ({ id }) => id, of: JSON.stringify(view.params),
      empty: view.data.page.next_before === null ? "No job matches." : "None of the jobs looked at so far matches.",
      chosen: mayOrder ? view.chosen : null,
      title: mayOrder ? orders(view, jobs) : h("h2", {}, "Newest first"),
      columns: [
        { name: "job", cell: ({ id }) => jobLink(id) },
        { name: "state", cell: ({ state, progress }) => h("span", { class: "rigid" }, badge(state), progress && ` ${Math.floor(progress.fraction * 100)} %`) },
        { name: "task", isWide: true, cell: (job) => [
          h("code", {}, job.task), h("small", {}, `(${call(job.args, job.kwargs, 90)})`),
          job.error && h("small", { class: "error" }, inline(job.error, 120)),
        ] },
        { name: "queue", cell: ({ queue }) => link(queue, "jobs", null, { ...filterOf(view.params), queue }) },
        { name: "attempt", isNumber: true, cell: (job) => `${job.attempt}/${job.max_attempts}` },
        { name: "enqueued", cell: (job) => when(job.created_at) },
        { name: "ended", cell: (job) => when(job.finished_at, "") },
        { name: "took", isNumber: true, cell: (job) => duration(took(job)) },
      ],
    }),
    pager(view),
  ];
}

function took(job) {
  return between(job.started_at, job.finished_at ?? (job.started_at && new Date().toISOString()));
}

function orders(view, jobs) {
  const shown = new Set(jobs.map(({ id }) => id));
  const ids = [...view.chosen].filter((id) => shown.has(id));
  const isAll = ids.length === 0;
  const isOff = isAll && !Object.keys(filterOf(view.params)).length;
  const target = isAll ? { filter: bodyOf(view.params) } : { ids };
  const whom = isAll ? "all that match" : `${ids.length} chosen`;
  const one = (what, word, extra = {}) => fits(what, view.params.state) && orderJobs(view, {
    kind: `jobs/${what}`, label: `${word} ${whom}`, text: word, target, isOff, after: () => view.chosen.clear(), ...extra,
  });
  return h("div", { class: "orders", role: "group", "aria-label": "Orders" },
    h("span", { class: "note whom" }, isOff ? "Choose jobs, or filter:" : `${whom[0].toUpperCase()}${whom.slice(1)}:`),
    one("cancel", "Cancel"),
    one("requeue", "Requeue"),
    one("move", "Move", { fields: [{ name: "to", label: "To the queue", options: (view.data.queues ?? []).map(({ queue }) => queue) }] }),
    one("delete", "Delete", { isDangerous: true }));
}

/** Whether an order makes sense of jobs in a state; without one, of some of them. */
function fits(what, state) {
  const isForEnded = what === "requeue" || what === "delete";
  return !state || ENDED.has(state) === isForEnded;
}

/** The filter of the page as orders take it, in values where the address has texts. */
function bodyOf(params) {
  return Object.fromEntries(Object.entries(filterOf(params)).map(([name, text]) => [
    name,
    name === "args" || name === "kwargs" ? readJson(text) : NUMBERS.includes(name) ? Number(text) : text,
  ]));
}

function readJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text; // the server says what is wrong with it
  }
}

function pager(view) {
  const next = view.data.page.next_before;
  const filter = filterOf(view.params);
  return h("nav", { class: "pager", "aria-label": "Pages" },
    view.params.before ? h("a", { class: "button", href: address("jobs", null, filter) }, "Newest") : h("span"),
    next !== null && h("a", { class: "button", href: address("jobs", null, { ...filter, before: next }) }, view.data.page.jobs.length ? "Older" : "Look further back"));
}
