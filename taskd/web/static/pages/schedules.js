// What runs at its time: when next, what became of the last, and to run it now.

import { may } from "../api.js";
import { h } from "../dom.js";
import { call, duration, when } from "../format.js";
import { order } from "../orders.js";
import { badge, heading, jobLink, waiting } from "../parts.js";
import { table } from "../table.js";

export const title = () => "Schedules";

export function open(view) {
  view.load("schedules", "/schedules", {}, 5);
  return () => [heading("Schedules"), view.data.schedules ? list(view) : waiting(view, "schedules")];
}

function list(view) {
  return table({
    view, id: "schedules", label: "By name", rows: view.data.schedules, key: ({ name }) => name,
    empty: "No daemon has declared a schedule.",
    columns: [
      { name: "schedule", isWide: true, sort: ({ name }) => name, cell: (row) => [h("b", {}, row.name), h("small", {}, `${row.task}(${call(row.args, row.kwargs, 60)})`)] },
      { name: "state", cell: ({ state }) => badge(state) },
      { name: "at", cell: ({ spec }) => rule(spec) },
      { name: "next slots", sort: ({ next_at: at }) => at, cell: slots },
      { name: "last slot", sort: ({ last_at: at }) => at, cell: ({ last_at: at }) => when(at) },
      { name: "last job", cell: ({ last_job: id, last_state: state }) => (id === null ? "–" : [jobLink(id), " ", state && badge(state)]) },
      { name: "last skipped", cell: ({ skipped_at: at }) => when(at, "") },
      ["run", "pause", "resume"].some((what) => may(`schedules/${what}`)) && { name: "orders", cell: (row) => orders(view, row) },
    ].filter(Boolean),
  });
}

/** When it runs next, and the times after that, where the server tells them. */
function slots({ next_at: at, next_slots: following }) {
  return [when(at), following.slice(1).map((slot) => h("small", { class: "line" }, when(slot)))];
}

function rule(spec) {
  const { cron, every, at, timezone } = spec;
  if (cron) return [h("code", {}, cron), timezone && h("small", {}, ` ${timezone}`)];
  if (every) return `every ${typeof every === "number" ? duration(every) : every}`;
  return at ? ["once, ", when(at)] : h("code", {}, JSON.stringify(spec));
}

function orders(view, { name, state }) {
  if (state === "removed") return null;
  const path = `/schedules/${encodeURIComponent(name)}`;
  return h("div", { class: "orders" },
    order(view, { kind: "schedules/run", label: "Run now", name, path: `${path}/run`, question: `Run ${name} now?`, done: `${name} is enqueued.` }),
    state === "paused"
      ? order(view, { kind: "schedules/resume", label: "Resume", name, path: `${path}/resume`, done: `${name} goes on.` })
      : order(view, { kind: "schedules/pause", label: "Pause", name, path: `${path}/pause`, question: `Pause ${name}? Its slots pass without a job.`, done: `${name} is paused.` }));
}
