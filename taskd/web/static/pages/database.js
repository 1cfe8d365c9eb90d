// How the database is: what keeps it from cleaning up, what takes room, who is connected.

import { h } from "../dom.js";
import { NONE, bytes, count, duration, percent, when } from "../format.js";
import { heading, link, tile, waiting } from "../parts.js";
import { table } from "../table.js";

const LARGEST = 25;

export const title = () => "Database";

export function open(view) {
  view.load("database", "/database", {}, 5);
  return () => [
    heading("Database"),
    view.data.database ? parts(view, view.data.database) : waiting(view, "database"),
  ];
}

function parts(view, { server, tables, transactions, connections }) {
  const dead = tables.reduce((sum, each) => sum + each.dead, 0);
  const oldest = Math.max(0, ...transactions.map(({ seconds }) => seconds ?? 0));
  return [
    h("dl", { class: "tiles six" },
      tile("PostgreSQL", server.version.split(" ")[0], server.database),
      tile("Size", bytes(server.bytes)),
      tile("Connections", count(server.connections), `of ${count(server.max_connections)}`, server.connections > 0.9 * server.max_connections ? "bad" : null),
      tile("Dead rows", count(dead), "not cleaned up yet"),
      tile("Oldest transaction", oldest ? duration(oldest) : NONE, null, oldest > 3600 ? "bad" : null),
      tile("Prepared", count(server.prepared), "transactions left open", server.prepared ? "bad" : null)),
    transactionList(view, transactions),
    tableList(view, tables),
    connectionList(view, connections),
  ];
}

function transactionList(view, rows) {
  return table({
    view, id: "transactions", label: "Transactions under way", rows, key: ({ pid }) => pid, empty: "None but this page's own.",
    columns: [
      { name: "pid", isNumber: true, cell: ({ pid }) => String(pid) },
      { name: "open for", isNumber: true, cell: ({ seconds }) => duration(seconds) },
      { name: "transactions held back", isNumber: true, cell: ({ holds_back: held }) => (held === null ? "" : count(held)) },
      { name: "program", cell: (row) => [row.application_name, row.user_name && h("small", {}, ` ${row.user_name}`)] },
      { name: "state", cell: ({ state }) => state ?? NONE },
    ],
  });
}

function tableList(view, rows) {
  const ordered = [...rows].sort((one, other) => other.bytes - one.bytes);
  const total = rows.reduce((sum, each) => sum + each.bytes, 0) || 1;
  return table({
    view, id: "tables", label: "Tables and partitions", rows: ordered, most: view.params.all ? null : LARGEST, key: ({ name }) => name, empty: "There are none.",
    note: rows.length > LARGEST && cutNote(view, rows.length),
    columns: [
      { name: "table", sort: ({ name }) => name, cell: (row) => [h("code", {}, row.name), row.partition_of && h("small", {}, ` of ${row.partition_of}`)] },
      { name: "size", isNumber: true, sort: (row) => row.bytes, cell: (row) => bytes(row.bytes) },
      { name: "share", isNumber: true, cell: (row) => percent(row.bytes / total) },
      { name: "rows", isNumber: true, sort: ({ live }) => live, cell: ({ live }) => count(live) },
      { name: "dead rows", isNumber: true, sort: ({ dead }) => dead, cell: ({ dead }) => count(dead) },
      { name: "vacuumed", sort: (row) => row.vacuumed_at, cell: (row) => when(row.vacuumed_at) },
    ],
  });
}

function cutNote(view, number) {
  if (view.params.all) return link(`Show the first ${LARGEST}`, "database");
  return [`Only the first ${LARGEST} are shown. `, link(`Show all ${number}`, "database", null, { all: "1" })];
}

function connectionList(view, rows) {
  return table({
    view, id: "connections", label: "Connections", rows, key: (row) => `${row.application_name} ${row.state}`, empty: "There are none.",
    columns: [
      { name: "program", cell: (row) => row.application_name },
      { name: "state", cell: ({ state }) => state },
      { name: "connections", isNumber: true, cell: (row) => count(row.connections) },
    ],
  });
}
