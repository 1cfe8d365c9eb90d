// Parts that several pages show.

import { h } from "./dom.js";
import { NONE, count } from "./format.js";

export const ENDED = new Set(["succeeded", "failed", "cancelled"]);
export const RUNNING = new Set(["running", "cancelling"]);
export const RANGES = [["15m", "15 minutes", 900], ["6h", "6 hours", 21600], ["7d", "7 days", 604800]];
/** How many rows a page of a list asks for. */
export const LISTED = 200;

/** The address of a page: its kind, the name of what it shows, and parameters. */
export function address(kind, name = null, params = {}) {
  const given = Object.entries(params).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const search = new URLSearchParams(given).toString();
  return `#/${kind}${name === null ? "" : `/${encodeURIComponent(name)}`}${search ? `?${search}` : ""}`;
}

/** A link to another page. */
export function link(text, kind, name = null, params = {}) {
  return h("a", { href: address(kind, name, params) }, text);
}

/** A link to a job. */
export function jobLink(id) {
  return id === null || id === undefined ? NONE : link(String(id), "jobs", id);
}

/** A job's state, in its colour and in words. */
export function badge(state) {
  return h("span", { class: `badge ${state}` }, state);
}

/** The head of a page: its name, what can be done on it. */
export function heading(title, ...tools) {
  return h("div", { class: "heading" }, h("h1", { id: "title", tabindex: "-1" }, title), h("div", { class: "tools" }, tools));
}

/** The choice of how long a time is looked at, kept in the address. */
export function ranges(kind, params) {
  const options = RANGES.map(([name, title]) => ({ value: name, text: name, title: `The last ${title}` }));
  return choices({ label: "Time shown", kind, params, name: "last", chosen: rangeOf(params), options });
}

/**
 * A choice that is kept in the address, as its parameter `name`.
 * options: {value, text, title}; chosen: the value of the one that holds now.
 */
export function choices({ label, kind, params, name, chosen, options }) {
  return h("nav", { class: "ranges", "aria-label": label }, options.map(({ value, text, title }) =>
    h("a", {
      href: address(kind, null, { ...params, [name]: value }),
      "aria-current": value === chosen ? "true" : null,
      "aria-label": title,
    }, text)));
}

/** What is said below a list that comes in pages. next: where the others begin, null if there are none. */
export function pageNote(kind, params, next) {
  const more = next !== null && ["There are more. ", link(`Show the next ${LISTED}`, kind, null, { ...params, after: next })];
  if (!params.after) return more;
  return [more, more && " ", link("Show from the first on", kind, null, { ...params, after: null })];
}

/**
 * What a page of such a list says until it knows more. The place where it begins may be refused: some
 * are known only to the server process that has told them.
 */
export function waitingPage(view, key, kind) {
  const isRefused = view.params.after && view.failed[key]?.status === 400;
  return [waiting(view, key), isRefused && h("p", { class: "note" }, pageNote(kind, view.params, null))];
}

/** A name that may go on in the next line behind its dots and underscores. */
export function breakable(name) {
  return name.split(/(?<=[._])/).flatMap((part, at) => (at ? [h("wbr", {}), part] : [part]));
}

/** A docstring's text: what stands between backticks in it is code. */
export function prose(text) {
  const parts = text.split(/(`+)/); // texts, and between them backticks: as many end code as begin it
  const shown = [];
  for (let at = 0; at < parts.length; at += 1) {
    const end = at % 2 ? parts.findIndex((part, number) => number > at && number % 2 && part === parts[at]) : -1;
    shown.push(end < 0 ? parts[at] : h("code", {}, parts.slice(at + 1, end).join("")));
    if (end > 0) at = end;
  }
  return shown;
}

/** The chosen time as the API takes it. */
export function rangeOf(params) {
  return RANGES.some(([name]) => name === params.last) ? params.last : "15m";
}

/** The same in seconds. */
export function secondsOf(params) {
  return RANGES.find(([name]) => name === rangeOf(params))[2];
}

/** A figure with its name. */
export function tile(name, value, about = null, kind = null) {
  return h("div", { class: `tile ${kind ?? ""}`, key: name }, h("dt", {}, name), h("dd", {}, value, about && h("small", {}, about)));
}

/** Names and values, those without a value left out. */
export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs
    .filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== NONE)
    .map(([name, value]) => h("div", { key: name }, h("dt", {}, name), h("dd", {}, value))));
}

/** The workers of hosts that live: {id, name, process}, by the names that jobs tell of them. */
export function workersOf(hosts) {
  return (hosts ?? []).flatMap((host) => host.processes.filter(({ worker }) => worker).map((process) => ({
    id: process.worker, name: `${process.pool}/${process.slot} on ${host.name}, pid ${process.pid}`, process,
  })));
}

/** A titled part of a page. */
export function card(title, ...children) {
  return h("section", { class: "card", key: title, "aria-label": title }, h("h2", {}, title), children);
}

/** What a page says until it knows more: that it loads, or why it cannot. */
export function waiting(view, key) {
  const failed = view.failed[key];
  return h("p", { class: "empty", role: "status" }, failed ? failed.message : "Loading …");
}

/** A text in its own lines, which scrolls within itself; `ends`: its last lines matter most. */
export function block(text, label, ends = false) {
  return h("pre", { class: ends && "ends", tabindex: "0", role: "region", "aria-label": label }, text);
}

/** A value as JSON in lines. */
export function json(value, label) {
  return block(JSON.stringify(value, null, 2), label);
}
