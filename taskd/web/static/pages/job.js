// All that is known of one job.

import { offers } from "../api.js";
import { h } from "../dom.js";
import { between, bytes, call, duration, exactTime, full, inline, many, parse, when } from "../format.js";
import { orderJobs } from "../orders.js";
import { logOf } from "../log.js";
import { stackList } from "../stacks.js";
import { ENDED, RUNNING, badge, block, card, facts, heading, json, link, waiting, workersOf } from "../parts.js";

export const title = (name) => `Job ${name}`;

export function open(view) {
  const path = `/jobs/${encodeURIComponent(view.name)}`;
  view.load("job", path, {}, 2);
  view.load("family", `${path}/family`, {}, 5);
  if (offers("/jobs/{id}/why")) view.load("why", () => (waits(view) ? `${path}/why` : null), {}, 3);
  view.load("hosts", () => (hasWorker(view) && (runs(view) || !view.data.hosts) ? "/workers" : null), {}, 5);
  view.load("stack", () => (view.isStackWanted && runs(view) ? `${path}/stacks` : null), {}, 2);
  const log = offers("/jobs/{id}/log") ? logOf(view, path) : () => null;
  return () => {
    const { job } = view.data;
    if (!job) return [heading(`Job ${view.name}`), waiting(view, "job")];
    if (ENDED.has(job.state)) slowDown(view);
    return [head(view, job), progress(job), why(view), stack(view), about(view, job), timeline(job), values(job), trace(job), log(), family(view), byHand(job)];
  };
}

function waits({ data }) {
  return data.job !== undefined && !ENDED.has(data.job.state) && !RUNNING.has(data.job.state);
}

function runs({ data }) {
  return data.job !== undefined && RUNNING.has(data.job.state);
}

function hasWorker({ data }) {
  return Boolean(data.job?.worker);
}

/** What has ended changes no more, unless somebody requeues it. */
function slowDown(view) {
  for (const load of view.loads) if (load.seconds !== null) load.seconds = Math.max(load.seconds, 5);
}

function head(view, job) {
  const target = { ids: [job.id] };
  const isOver = ENDED.has(job.state);
  return h("div", { class: "heading" },
    h("div", {},
      h("h1", { id: "title", tabindex: "-1" }, `Job ${job.id}`, " ", badge(job.state)),
      h("p", { class: "call" }, h("code", {}, `${job.task}(${call(job.args, job.kwargs, 200)})`))),
    h("div", { class: "tools" },
      !isOver && orderJobs(view, { kind: "jobs/cancel", label: "Cancel", target, isDangerous: RUNNING.has(job.state) }),
      isOver && orderJobs(view, { kind: "jobs/requeue", label: "Requeue", target }),
      !isOver && !RUNNING.has(job.state) && orderJobs(view, { kind: "jobs/move", label: "Move", target, fields: [{ name: "to", label: "To the queue" }] }),
      isOver && orderJobs(view, { kind: "jobs/delete", label: "Delete", target, isDangerous: true })));
}

function progress(job) {
  if (!job.progress) return null;
  const { fraction, message, updated_at: at } = job.progress;
  return h("div", { class: "card progress", key: "progress" },
    h("progress", { max: "1", value: String(fraction), "aria-label": "Progress" }),
    h("span", {}, `${Math.floor(fraction * 100)} %`, message && `, ${message}`), " ", when(at));
}

function why(view) {
  if (!waits(view) || !view.data.why) return null;
  return card("Why it waits", h("ul", { class: "reasons" }, view.data.why.map((reason) =>
    h("li", {}, `It ${reason.text}.`, others(reason.jobs)))));
}

/** Where it stands at this moment; asked of its worker while somebody looks, and not before. */
function stack(view) {
  if (!runs(view) || !offers("/jobs/{id}/stacks")) return null;
  const turn = () => {
    view.isStackWanted = !view.isStackWanted;
    delete view.data.stack;
    view.reload(true);
    view.draw();
  };
  return card("Live stack",
    h("p", { class: "buttons" },
      h("button", { "aria-expanded": String(Boolean(view.isStackWanted)), onclick: turn }, view.isStackWanted ? "Hide the stack" : "Show where it stands"),
      h("span", { class: "note" }, "Its worker is asked every 2 s; the job is not interrupted.")),
    view.isStackWanted && h("div", { id: "stack" }, stackOf(view)));
}

function stackOf(view) {
  const { stack: found } = view.data;
  if (!found) return waiting(view, "stack");
  return found.worker ? stackList(found.worker) : h("p", { class: "empty" }, "No worker has it in its hands at this moment.");
}

function others(jobs) {
  if (!jobs.length) return null;
  return h("ul", {}, jobs.map(({ id, task, state }) => h("li", {}, link(`job ${id}`, "jobs", id), ` ${task ?? ""} `, state && badge(state))));
}

function about(view, job) {
  const worker = workersOf(view.data.hosts).find(({ name }) => name === job.worker);
  const limits = [
    job.timeout !== null && `ends after ${duration(job.timeout)}`,
    job.losses > 0 && `lost ${job.losses} workers`,
    job.crashes > 0 && `its workers crashed ${job.crashes} times`,
  ].filter(Boolean).join(", ");
  return card("About", facts([
    ["Task", link(job.task, "jobs", null, { task: job.task })],
    ["Queue", link(job.queue, "jobs", null, { queue: job.queue })],
    ["Code", job.requires],
    ["Priority", String(job.priority)],
    ["Attempt", `${job.attempt} of at most ${job.max_attempts}`],
    ["Limits", limits],
    ["Worker", worker ? workerLink(worker) : job.worker],
    ["Its worker holds", worker && RUNNING.has(job.state) ? held(worker.process) : null],
    ["Requeued", job.requeued_as && link(`as job ${job.requeued_as}`, "jobs", job.requeued_as)],
    ["Waited", [
      job.waited_for_resources !== null && `${duration(job.waited_for_resources)} for resources`,
      job.waited_for_worker !== null && `${duration(job.waited_for_worker)} for a worker`,
    ].filter(Boolean).join(", ")],
    ["Took", job.finished_at && job.started_at ? duration(between(job.started_at, job.finished_at)) : null],
    ["Used", used(job)],
    ["Schedule", job.extra.schedule && link(job.extra.schedule, "schedules")],
    ["Unique key", job.extra.unique],
    ["Flow", job.extra.group && link(`group ${job.extra.group}`, "jobs", null, { group: job.extra.group })],
    ["Headers", job.extra.headers && inline(job.extra.headers, 200)],
  ]));
}

function workerLink({ id, name }) {
  return offers("/workers/{id}/stacks") ? link(name, "workers", id) : name;
}

/** What its worker holds at this moment: for this job alone only where it has no other. */
function held({ memory_bytes: held, children_bytes: below, in_flight: jobs }) {
  const others = jobs > 1 ? `, with ${many(jobs - 1, "other job")}` : "";
  return `${bytes(held + (below ?? 0))} of memory${others}`;
}

/** What an attempt has used of the processor, and by how much it left its process larger. */
function used({ cpu_seconds: cpu, memory_growth: growth }) {
  if (cpu === null) return null;
  const memory = growth === null ? "" : `, ${growth < 0 ? "−" : "+"}${bytes(Math.abs(growth))} of memory`;
  return `${duration(cpu)} of CPU${memory}`;
}

/** What became of it, moment by moment: a list, with a bar for each attempt where it lies in time. */
function timeline(job) {
  const moments = [
    ["enqueued", job.created_at],
    !job.started_at && job.run_at && ["to run", job.run_at],
    job.ready_at && ["had its resources", job.ready_at],
  ].filter(Boolean).map(([name, at]) => ({ name, from: at, to: null }));
  const attempts = job.attempts.map((attempt) => ({
    name: `attempt ${attempt.number}: ${attempt.outcome}`,
    from: attempt.started_at, to: attempt.ended_at, worker: attempt.worker, kind: "failed",
    error: attempt.error, traceback: attempt.traceback, used: used(attempt),
  }));
  if (job.started_at) {
    attempts.push({
      name: `attempt ${job.attempt}: ${job.state}`, from: job.started_at,
      to: job.finished_at, isOn: !job.finished_at, worker: job.worker, kind: job.state, error: job.error,
      used: used(job),
    });
  } else if (job.finished_at) {
    moments.push({ name: job.state, from: job.finished_at, to: null });
  }
  const all = [...moments, ...attempts].sort((one, other) => parse(one.from) - parse(other.from));
  const begin = Math.min(...all.map(({ from }) => parse(from)));
  const end = Math.max(...all.map((each) => (each.isOn ? Date.now() : parse(each.to ?? each.from))));
  return card("Timeline", h("ol", { class: "timeline" }, all.map((each) => moment(each, begin, Math.max(end - begin, 1)))));
}

function moment(each, begin, span) {
  const from = (parse(each.from) - begin) / span;
  const to = ((each.to ? parse(each.to) : each.isOn ? Date.now() : parse(each.from)) - begin) / span;
  const lasted = each.to ? between(each.from, each.to) : each.isOn ? (Date.now() - parse(each.from)) / 1000 : null;
  const isAttempt = lasted !== null;
  return h("li", { key: each.name },
    h("div", { class: "what" },
      h("b", {}, each.name),
      h("time", { datetime: each.from, title: full(each.from) }, exactTime(each.from)),
      isAttempt && h("span", {}, `for ${duration(lasted)}`),
      each.used && h("span", {}, each.used),
      each.worker && h("span", { class: "note" }, each.worker)),
    h("div", { class: "lane", "aria-hidden": "true" },
      h("div", {
        class: `bar ${isAttempt ? each.kind : "moment"}`,
        style: { left: `${(from * 100).toFixed(2)}%`, width: `${Math.max((to - from) * 100, 0).toFixed(2)}%` },
      })),
    each.error && h("p", { class: "error" }, inline(each.error, 400)),
    each.traceback && h("details", {}, h("summary", {}, "Traceback"), block(each.traceback, `Traceback of ${each.name}`)));
}

function values(job) {
  return [
    card("Arguments",
      !hasSome(job.args) && !hasSome(job.kwargs) && h("p", { class: "empty" }, "None."),
      hasSome(job.args) && json(job.args, "Arguments"),
      hasSome(job.kwargs) && json(job.kwargs, "Keywords")),
    job.has_result && card("Result", job.result === null ? h("p", { class: "empty" }, "None, or not kept any more.") : json(job.result, "Result")),
  ];
}

/** Whether there are arguments; those that the viewer may not see are a text. */
function hasSome(values) {
  return Object.keys(values).length > 0;
}

function trace(job) {
  if (!job.error && !job.traceback) return null;
  return card("Error", h("p", { class: "error" }, job.error), job.traceback && block(job.traceback, "Traceback", true));
}

function family(view) {
  const { family: found } = view.data;
  if (!found || !(found.parents.length || found.children.length)) return null;
  const list = (jobs) => h("ul", { class: "family" }, jobs.map((job) =>
    h("li", { key: job.id }, link(`job ${job.id}`, "jobs", job.id), " ", h("code", {}, job.task ?? "forgotten"), " ", job.state && badge(job.state))));
  return card("Parents and children",
    found.parents.length > 0 && [h("h3", {}, "Comes after"), list(found.parents)],
    found.children.length > 0 && [h("h3", {}, "Comes before"), list(found.children)]);
}

/** The command that runs the function here and now, on one's own machine. */
function byHand(job) {
  if (typeof job.args === "string") return null; // they are hidden
  const words = ["taskd", "run", job.task];
  if (hasSome(job.args) || hasSome(job.kwargs)) words.push(quoted(JSON.stringify(job.args)));
  if (hasSome(job.kwargs)) words.push(quoted(JSON.stringify(job.kwargs)));
  return card("Run it by hand", block(words.join(" "), "Command"), h("p", { class: "note" }, "Without daemon, database or retries, in the folder of the code."));
}

function quoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
