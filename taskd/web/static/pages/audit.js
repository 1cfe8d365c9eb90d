// Who has ordered what.

import { h } from "../dom.js";
import { count, inline, when } from "../format.js";
import { address, heading, waiting } from "../parts.js";
import { table } from "../table.js";

export const title = () => "Audit";

export function open(view) {
  const { before } = view.params;
  view.load("audit", "/audit", { before, limit: 100 }, before ? null : 5);
  return () => [heading("Audit"), view.data.audit ? list(view) : waiting(view, "audit")];
}

function list(view) {
  const { entries, next_before: next } = view.data.audit;
  return [
    table({
      view, id: "audit", label: "Orders, newest first", rows: entries, key: ({ id }) => id, of: view.params.before, empty: "Nobody has ordered anything yet.",
      columns: [
        { name: "when", cell: ({ at }) => when(at) },
        { name: "who", cell: ({ role, address: from }) => [role, h("small", {}, ` ${from}`)] },
        { name: "order", cell: ({ action }) => h("code", {}, action) },
        { name: "about", isWide: true, cell: ({ parameters }) => (Object.keys(parameters).length ? h("code", {}, inline(parameters, 300)) : "") },
        { name: "changed", isNumber: true, cell: ({ count: changed }) => count(changed) },
      ],
    }),
    h("nav", { class: "pager", "aria-label": "Pages" },
      view.params.before ? h("a", { class: "button", href: address("audit") }, "Newest") : h("span"),
      next !== null && h("a", { class: "button", href: address("audit", null, { before: next }) }, "Older")),
  ];
}
