// Figures and times for people: seconds, bytes and moments in the viewer's language and zone.

import { h } from "./dom.js";

export const NONE = "–";
const SECOND = 1000;
// A duration is told in two of them: names, seconds of the smaller one, how many make the larger one,
// and up to which duration.
const UNITS = [["m", "s", 1, 60, 3600], ["h", "m", 60, 60, 86_370], ["d", "h", 3600, 24, Infinity]];

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat(undefined, {
  notation: "compact",
  maximumSignificantDigits: 3,
});
const moment = new Intl.DateTimeFormat(undefined, {
  year: "numeric", month: "short", day: "numeric",
  hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short",
});
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const exactClock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3,
});
const secondsClock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });

/** The viewer's zone, by its name. */
export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** How many; large ones rounded: 1,234 and 5.2M. */
export function count(number, isExact = true) {
  if (number === null || number === undefined) return NONE;
  const text = Math.abs(number) < 100_000 ? whole.format(number) : compact.format(number);
  return isExact ? text : `≈ ${text}`;
}

/** A figure that may be small: 0.042, 3.1, 250. */
export function figure(number) {
  if (number === null || number === undefined) return NONE;
  if (number === 0) return "0";
  const size = Math.abs(number);
  if (size >= 1000) return count(number);
  return String(Number(number.toPrecision(size < 0.01 ? 1 : size < 100 ? 2 : 3)));
}

/** So many a second, or a minute or hour where a second holds less than one. */
export function rate(perSecond) {
  if (perSecond === null || perSecond === undefined) return NONE;
  if (perSecond === 0) return "0/s";
  if (perSecond >= 1) return `${figure(perSecond)}/s`;
  return perSecond * 60 >= 1 ? `${figure(perSecond * 60)}/min` : `${figure(perSecond * 3600)}/h`;
}

/** A part of one, in percent. */
export function percent(part) {
  if (part === null || part === undefined) return NONE;
  return `${figure(part * 100)}\u00a0%`;
}

/** A duration in seconds: 12 ms, 3.4 s, 2m 5s, 3h 20m, 4d 2h. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds < 0.001) return seconds <= 0 ? "0 s" : "< 1 ms";
  if (seconds < 1) return `${figure(seconds * 1000)} ms`;
  if (seconds < 59.95) return `${figure(seconds)} s`;
  const whole = Math.round(seconds);
  const [large, small, part, perLarge] = UNITS.find(([, , , , below]) => whole < below);
  const parts = Math.round(seconds / part);
  const rest = parts % perLarge;
  return `${Math.floor(parts / perLarge)}${large}${rest ? ` ${rest}${small}` : ""}`;
}

/** A size in bytes: 512 B, 3.4 MB, of a million each. */
export function bytes(size) {
  if (size === null || size === undefined) return NONE;
  let left = size;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (Math.abs(left) < 999.5) return `${figure(left)} ${unit}`;
    left /= 1000;
  }
  return `${figure(left)} TB`;
}

/** How many of what: "1 job", "3 jobs". */
export function many(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** Milliseconds since 1970 of a text of the API; null of null. */
export function parse(text) {
  return text === null || text === undefined ? null : Date.parse(text);
}

/** How long it takes from one text of the API to another, in seconds; null if one is missing. */
export function between(from, to) {
  return from && to ? Math.max((parse(to) - parse(from)) / SECOND, 0) : null;
}

/** A moment in full, in the viewer's zone. */
export function full(at) {
  return moment.format(new Date(at));
}

/** The time of day with milliseconds. */
export function exactTime(at) {
  return exactClock.format(new Date(at));
}

/** What stands under a curve: the time, with seconds where minutes are shown, or the day of a week. */
export function tick(at, spanMs) {
  const format = spanMs > 36 * 3600 * SECOND ? day : spanMs < 600 * SECOND ? secondsClock : clock;
  return format.format(new Date(at));
}

/** What a moment within a curve is called: its time, and its day if the curve is of several. */
export function within(at, spanMs) {
  return spanMs > 36 * 3600 * SECOND ? `${tick(at, spanMs)} ${clock.format(new Date(at))}` : tick(at, spanMs);
}

/** How far a moment is: "3m 20s ago", "in 5 s". */
export function distance(at) {
  const seconds = (Date.now() - at) / SECOND;
  if (Math.abs(seconds) < 1) return "now";
  return seconds > 0 ? `${roughly(seconds)} ago` : `in ${roughly(-seconds)}`;
}

function roughly(seconds) {
  return duration(seconds < 60 ? Math.floor(seconds) : seconds);
}

/** A moment as an element: how far it is, and in full for who points at it. */
export function when(text, none = NONE) {
  if (!text) return none;
  const at = parse(text);
  return h("time", { datetime: text, title: full(at) }, distance(at));
}

/** A value as JSON on one line, cut after so many characters. */
export function inline(value, most = 80) {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

/** The arguments of a call, as Python would have them: 1, "x", to="y". */
export function call(args, kwargs, most = 80) {
  if (typeof args === "string") return args; // the viewer may not see them
  const named = Object.entries(kwargs ?? {}).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return inline([...(args ?? []).map((value) => JSON.stringify(value)), ...named].join(", "), most);
}
