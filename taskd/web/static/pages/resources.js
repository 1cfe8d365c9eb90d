// What jobs must hold to run, who holds it, and who stands in line.

import { h } from "../dom.js";
import { count, parse, rate, when } from "../format.js";
import { LISTED, heading, jobLink, pageNote, waitingPage } from "../parts.js";
import { table } from "../table.js";

const MOST_COUNTED = 1000;
const EXCLUSIVE = 2 ** 31 - 1; // what one holds who wants it for itself alone

export const title = () => "Resources";

export function open(view) {
  view.load("resources", "/resources", { limit: LISTED, after: view.params.after }, 3);
  return () => [heading("Resources"), view.data.resources ? list(view) : waitingPage(view, "resources", "resources")];
}

function list(view) {
  const { resources, next } = view.data.resources;
  return table({
    view, id: "resources", label: "Resources and limits", rows: resources, of: view.params.after, key: ({ name }) => name,
    empty: "No resource or limit is held, waited for or declared.",
    note: pageNote("resources", view.params, next),
    columns: [
      { name: "resource", isWide: true, sort: ({ name }) => name, cell: ({ name }) => titleOf(name) },
      { name: "held", isNumber: true, sort: ({ used }) => used, cell: held },
      { name: "rate", isNumber: true, cell: (row) => (row.rate === null ? "" : rate(row.rate)) },
      { name: "holders", isWide: true, cell: holders },
      { name: "in line", isNumber: true, sort: ({ waiting: number }) => number, cell: ({ waiting: number }) => `${count(number)}${number >= MOST_COUNTED ? "+" : ""}` },
      { name: "first in line", cell: ({ first }) => first.map((id, at) => [at ? ", " : "", jobLink(id)]) },
      { name: "waits since", sort: ({ since }) => parse(since), cell: ({ since }) => when(since, "") },
      { name: "let in next", cell: ({ retry_at: at }) => when(at, "") },
    ],
  });
}

/** The limits of queues and tasks have names that no resource of a user can have. */
function titleOf(name) {
  const [whose, ...rest] = name.split(" ");
  const kinds = { "@queue": "limit of queue", "@task": "limit of task", "@key": "limit" };
  return whose in kinds ? [h("small", {}, kinds[whose]), h("code", {}, rest.join(" "))] : h("code", {}, name);
}

function held({ used, units }) {
  if (used === EXCLUSIVE) return "by one alone";
  return units === null ? count(used) : `${count(used)} of ${count(units)}`;
}

function holders(row) {
  const others = row.holders_found - row.holders.length;
  return [
    row.holders.map((holder) => h("div", {}, jobLink(holder.id), " ", h("code", {}, holder.task), ` ${holder.state}`, holder.since && [" since ", when(holder.since)])),
    others > 0 && h("small", {}, `and ${count(others)} more`),
    row.hidden_units > 0 && h("small", {}, `${count(row.hidden_units)} by jobs not found in time`),
  ];
}
