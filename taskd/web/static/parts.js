// Parts that several pages show.

import { h } from "./dom.js";
import { NONE } from "./format.js";

export const ENDED = new Set(["succeeded", "failed", "cancelled"]);
export const RUNNING = new Set(["running", "cancelling"]);
export const RANGES = [["15m", "15 minutes", 900], ["6h", "6 hours", 21600], ["7d", "7 days", 604800]];

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
  const last = rangeOf(params);
  return h("nav", { class: "ranges", "aria-label": "Time shown" }, RANGES.map(([name, title]) =>
    h("a", {
      href: address(kind, null, { ...params, last: name }),
      "aria-current": name === last ? "true" : null,
      "aria-label": `The last ${title}`,
    }, name)));
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

/** A titled part of a page. */
export function card(title, ...children) {
  return h("section", { class: "card", key: title, "aria-label": title }, h("h2", {}, title), children);
}

/** What a page says until it knows more: that it loads, or why it cannot. */
export function waiting(view, key) {
  const failed = view.failed[key];
  return h("p", { class: "empty", role: "status" }, failed ? failed.message : "Loading …");
}

/** A text in its own lines, which scrolls within itself. */
export function block(text, label) {
  return h("pre", { tabindex: "0", role: "region", "aria-label": label }, text);
}

/** A value as JSON in lines. */
export function json(value, label) {
  return block(JSON.stringify(value, null, 2), label);
}
