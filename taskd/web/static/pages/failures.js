// What has failed, by what it has in common, and what becomes of it.

import { may } from "../api.js";
import { h } from "../dom.js";
import { count, inline, many, when } from "../format.js";
import { order, orderJobs } from "../orders.js";
import { LISTED, badge, breakable, choices, heading, jobLink, link, pageNote, waitingPage } from "../parts.js";
import { table } from "../table.js";

const SPANS = [["1h", "1 hour"], ["1d", "1 day"], ["7d", "7 days"]].map(([value, time]) => ({ value, text: value, title: `The last ${time}` }));

export const title = () => "Failures";

export function open(view) {
  const last = SPANS.some(({ value }) => value === view.params.last) ? view.params.last : "1d";
  view.load("failures", "/failures", { last, limit: LISTED, after: view.params.after }, 10);
  return () => [
    heading("Failures", choices({ label: "Time shown", kind: "failures", params: { ...view.params, after: null }, name: "last", chosen: last, options: SPANS })),
    view.data.failures ? list(view, last) : waitingPage(view, "failures", "failures"),
  ];
}

function list(view, last) {
  const { groups, looked_at: looked, truncated, next } = view.data.failures;
  return table({
    view, id: "failures", label: "Causes", rows: groups, of: `${last} ${view.params.after ?? ""}`,
    empty: "Nothing has failed in this time.", note: pageNote("failures", view.params, next),
    title: h("h2", {}, `${many(groups.length, "cause")}, ${many(looked, "failed job")} looked at${truncated ? ", the youngest of more" : ""}`),
    key: (group) => `${group.task} ${group.cause}`,
    columns: [
      { name: "jobs", isNumber: true, sort: (group) => group.count, cell: (group) => link(count(group.count), "jobs", null, { state: "failed", task: group.task, cause: group.cause }) },
      { name: "cause", isWide: true, cell: (group) => cause(group) },
      { name: "first", sort: (group) => group.first_at, cell: (group) => when(group.first_at) },
      { name: "last", sort: (group) => group.last_at, cell: (group) => when(group.last_at) },
      { name: "youngest", cell: (group) => jobLink(group.sample_job) },
      ["requeue", "acknowledge", "mute", "note"].some((what) => may(`failures/${what}`)) && { name: "orders", cell: (group) => orders(view, group) },
    ].filter(Boolean),
  });
}

function cause(group) {
  return [
    h("span", { class: "error" }, inline(group.cause, 300)),
    h("small", {}, h("code", {}, breakable(group.task))),
    group.muted && [" ", badge("muted")],
    group.is_acknowledged && [" ", badge("acknowledged")],
    group.note && h("small", { class: "said" }, group.note),
  ];
}

function orders(view, group) {
  const body = { cause: group.cause, task: group.task };
  const name = inline(group.cause, 60);
  const to = (what, label, extra) => order(view, { kind: `failures/${what}`, label, name, path: `/failures/${what}`, body, ...extra });
  return h("div", { class: "orders" },
    orderJobs(view, { kind: "failures/requeue", label: "Requeue all", name, target: body }),
    group.is_acknowledged
      ? to("acknowledge", "Take back", { body: { ...body, undo: true }, done: "It is not acknowledged any more." })
      : to("acknowledge", "Acknowledge", { done: "It is acknowledged." }),
    group.muted
      ? to("mute", "Unmute", { body: { ...body, undo: true }, done: "It is not muted any more." })
      : to("mute", "Mute", { question: "Mute this cause, now and later?", done: "It is muted." }),
    to("note", "Note", {
      question: "A note for who comes next", fields: [{ name: "note", label: "Note", value: group.note ?? "", isLong: true, isNeeded: false }],
      body: ({ note }) => ({ ...body, note }), done: "The note is kept.",
    }));
}
