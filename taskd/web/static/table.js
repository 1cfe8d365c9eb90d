// Lists that keep their rows in place while somebody points at them or has the focus in them: then
// only what stands in the rows changes. What came or went meanwhile shows when they leave.

import { h } from "./dom.js";
import { count } from "./format.js";

const memories = new Map(); // by the table's id
const FREE_MS = 3000;
let freeUntil = 0;

/** Let all lists change for a moment: who has ordered something wants to see what became of it. */
export function release() {
  freeUntil = performance.now() + FREE_MS;
}

/**
 * A table.
 * columns: {name, cell(row), isNumber, sort(row)}; with `sort` its header sorts.
 * key(row): what the row is known by. of: what the list is about; another list keeps no place.
 * chosen: a Set of keys, if rows can be chosen. first: the name of the column whose greatest come
 * first, until a header is pressed. most: so many are shown, null: all. note: what is said below the rows.
 */
export function table({ view, id, label, columns, rows, key, of = "", empty, chosen = null, title = null, first = null, most = null, note: below = null }) {
  const memory = recall(id, of, first);
  const sorted = sort(rows, columns, memory).slice(0, most ?? rows.length);
  const shown = isHeld(id, memory) ? held(sorted, key, memory) : letGo(sorted, key, memory);
  const note = memory.waiting ? `${count(memory.waiting)} more: shown when you leave the list` : "";
  const leave = () => requestAnimationFrame(() => view.draw());
  return h("section", { class: "card list", id, "aria-label": label },
    h("div", { class: "bar" },
      title ?? h("h2", {}, label),
      h("span", { class: "note" }, note)),
    rows.length || shown.length
      ? h("table", { role: "table", "aria-label": label },
          head(view, columns, memory, chosen, shown, key),
          h("tbody", { role: "rowgroup", onpointerleave: leave, onfocusout: leave },
            shown.map(({ row, isGone }) => line({ view, row, isGone, columns, key, chosen }))))
      : h("p", { class: "empty" }, empty),
    below && h("p", { class: "note below" }, below));
}

function recall(id, of, first) {
  const old = memories.get(id);
  if (old?.of !== of || old.first !== first) {
    const isKept = old !== undefined && old.first === first;
    const sorting = isKept ? old.sorting : first && { name: first, isDescending: true };
    memories.set(id, { of, first, sorting, shown: [], waiting: 0 });
  }
  return memories.get(id);
}

function isHeld(id, memory) {
  if (performance.now() < freeUntil) return false;
  const body = document.getElementById(id)?.querySelector("tbody");
  return Boolean(memory.shown.length && body?.matches(":hover, :focus-within"));
}

function held(rows, key, memory) {
  const fresh = new Map(rows.map((row) => [key(row), row]));
  const shown = memory.shown.map(({ row }) => ({
    row: fresh.get(key(row)) ?? row,
    isGone: !fresh.has(key(row)),
  }));
  const known = new Set(shown.map(({ row }) => key(row)));
  memory.shown = shown;
  memory.waiting = rows.filter((row) => !known.has(key(row))).length;
  return shown;
}

function letGo(rows, key, memory) {
  memory.shown = rows.map((row) => ({ row, isGone: false }));
  memory.waiting = 0;
  return memory.shown;
}

function sort(rows, columns, memory) {
  const column = memory.sorting && columns.find(({ name }) => name === memory.sorting.name);
  if (!column) return rows;
  const sign = memory.sorting.isDescending ? -1 : 1;
  const values = new Map(rows.map((row) => [row, column.sort(row) ?? -Infinity]));
  return [...rows].sort((one, other) => sign * compare(values.get(one), values.get(other)));
}

function compare(one, other) {
  if (typeof one === "string" && typeof other === "string") return one.localeCompare(other);
  return one === other ? 0 : one < other ? -1 : 1;
}

function head(view, columns, memory, chosen, shown, key) {
  return h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
    chosen && h("th", { role: "columnheader", class: "choose" }, chooseAll(view, chosen, shown, key)),
    columns.map((column) => header(view, column, memory))));
}

function chooseAll(view, chosen, shown, key) {
  const keys = shown.map(({ row }) => key(row));
  return h("input", {
    type: "checkbox",
    "aria-label": "Choose all shown",
    ".checked": keys.length > 0 && keys.every((each) => chosen.has(each)),
    onchange: (event) => {
      for (const each of keys) event.target.checked ? chosen.add(each) : chosen.delete(each);
      view.draw();
    },
  });
}

function header(view, column, memory) {
  const sorting = memory.sorting?.name === column.name ? memory.sorting : null;
  const order = sorting && (sorting.isDescending ? "descending" : "ascending");
  const turn = () => {
    memory.sorting = { name: column.name, isDescending: sorting ? !sorting.isDescending : Boolean(column.isNumber) };
    view.draw();
  };
  return h("th", { role: "columnheader", scope: "col", class: column.isNumber && "number", "aria-sort": order },
    column.sort
      ? h("button", { class: "sorts", onclick: turn }, column.name, h("span", { "aria-hidden": "true" }, order ? (sorting.isDescending ? " ↓" : " ↑") : ""))
      : column.name);
}

function line({ view, row, isGone, columns, key, chosen }) {
  const name = key(row);
  return h("tr", { role: "row", key: `row ${name}`, class: isGone && "gone" },
    chosen && h("td", { role: "cell", class: "choose" }, choose(view, chosen, name)),
    columns.map((column) => cell(column, row)));
}

function cell(column, row) {
  const content = column.cell(row);
  const isEmpty = content === null || content === undefined || content === false || content === "";
  return h("td", {
    role: "cell",
    class: [column.isNumber && "number", column.isWide && "wide"].filter(Boolean).join(" ") || null,
    "data-label": column.name,
  }, isEmpty ? null : h("div", { class: "cell" }, content));
}

function choose(view, chosen, name) {
  return h("input", {
    type: "checkbox",
    "aria-label": `Choose ${name}`,
    ".checked": chosen.has(name),
    onchange: (event) => {
      event.target.checked ? chosen.add(name) : chosen.delete(name);
      view.draw();
    },
  });
}
