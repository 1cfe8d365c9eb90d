// Curves as SVG, stretched to whatever place there is; words and figures beside them are HTML. The
// pointer, or the arrow keys, move a line along the curve, and the legend says what is there.

import { h } from "./dom.js";
import { full, tick, within } from "./format.js";

const WIDTH = 1000;
const HEIGHT = 200;
const TICKS = 4;
const cursors = new Map(); // by the chart's id: the number of the step that is pointed at
const tables = new Set(); // the charts whose figures are shown as a table

/**
 * A chart.
 * times: the begin of each step, milliseconds, ascending. series: {name, values, color} with a value
 * or null for each time; hasEnded: it has no value of this moment. format: a value as text. isStacked: areas on top of each other. marks:
 * {at, text}, lines across. top: the least that the axis reaches.
 */
export function chart({ view, id, label, times, series, format, isStacked = false, marks = [], top = 0 }) {
  const shown = isStacked ? stack(series, times) : series;
  const most = niceTop(Math.max(top, ...shown.flatMap(({ values }) => values.map((value) => value ?? 0))));
  const cursor = Math.min(cursors.get(id) ?? -1, times.length - 1);
  const span = times.length > 1 ? times.at(-1) - times[0] : 1;
  const x = (at) => ((at - times[0]) / span) * WIDTH;
  const y = (value) => HEIGHT - (value / most) * HEIGHT;
  const point = (number) => {
    if (number === cursors.get(id)) return;
    if (number === null) cursors.delete(id);
    else cursors.set(id, number);
    view.draw();
  };
  return h("figure", { class: "chart card", id, key: id },
    h("figcaption", {}, h("h2", {}, label), h("span", { class: "note" }, cursor >= 0 ? full(times[cursor]) : "")),
    h("div", {
      class: "plot", tabindex: "0", role: "img", "aria-label": describe(label, times, series, format),
      onpointermove: (event) => point(stepAt(event, times.length)),
      onpointerleave: () => point(null),
      onblur: () => point(null),
      onkeydown: (event) => onKey(event, cursor, times.length, point),
    },
      h("span", { class: "level top" }, format(most)),
      h("span", { class: "level middle" }, format(most / 2)),
      h("span", { class: "level" }, format(0)),
      h("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
        [0, 0.5, 1].map((part) => h("line", { class: "grid", x1: 0, x2: WIDTH, y1: part * HEIGHT, y2: part * HEIGHT })),
        [...shown].reverse().map((each) => drawn(each, times, x, y, isStacked)),
        marks.map(({ at }) => h("line", { class: "mark", x1: x(at), x2: x(at), y1: 0, y2: HEIGHT })),
        cursor >= 0 && h("line", { class: "cursor", x1: x(times[cursor]), x2: x(times[cursor]), y1: 0, y2: HEIGHT }))),
    h("div", { class: "ticks", "aria-hidden": "true" }, ticks(times)),
    legend(series, cursor, format),
    marks.length ? h("ul", { class: "marks" }, marks.slice(-3).map(({ at, text }) => h("li", {}, `${within(at, span)} ${text}`))) : null,
    figures(view, id, times, series, format));
}

/** Begins of steps in the last `seconds`, milliseconds, the last one the step that goes on. */
export function steps(seconds, step, now = Date.now()) {
  const length = step * 1000;
  const last = Math.floor(now / length) * length;
  const number = Math.max(Math.round(seconds / step), 1);
  return Array.from({ length: number + 1 }, (_, at) => last - (number - at) * length);
}

/** The next round figure. */
function niceTop(most) {
  if (most <= 0) return 1;
  const size = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((part) => part * size).find((each) => each >= most * 0.999);
}

function stack(series, times) {
  const sums = times.map(() => 0);
  return series.map((each) => {
    const floor = [...sums];
    each.values.forEach((value, at) => { sums[at] += value ?? 0; });
    return { ...each, floor, values: each.values.map((value, at) => (value === null ? null : sums[at])) };
  });
}

function drawn(each, times, x, y, isStacked) {
  const along = (run, values) => run.map((at) => `${x(times[at]).toFixed(1)},${y(values[at]).toFixed(1)}`).join("L");
  const color = `color-${each.color}`;
  const parts = runs(each.values);
  const line = h("path", { class: `line ${color}`, d: parts.map((run) => `M${along(run, each.values)}`).join("") || "M0,0" });
  if (!isStacked) return line;
  const areas = parts.map((run) => `M${along(run, each.values)}L${along([...run].reverse(), each.floor)}Z`);
  return h("g", {}, h("path", { class: `area ${color}`, d: areas.join("") || "M0,0" }), line);
}

/** The numbers of the steps that have a value, those next to each other together. */
function runs(values) {
  const found = [];
  values.forEach((value, at) => {
    if (value === null || value === undefined) return;
    if (found.length && found.at(-1).at(-1) === at - 1) found.at(-1).push(at);
    else found.push([at]);
  });
  return found.map((run) => (run.length === 1 ? [run[0], run[0]] : run));
}

function ticks(times) {
  const span = times.at(-1) - times[0];
  return Array.from({ length: TICKS }, (_, at) =>
    h("span", {}, tick(times[0] + (span * at) / (TICKS - 1), span)));
}

function legend(series, cursor, format) {
  const value = ({ values }) => (cursor >= 0 ? values[cursor] : values.findLast((each) => each !== null)) ?? null;
  const told = (each) => (each.hasEnded && cursor < 0 ? "ended" : format(value(each)));
  return h("ul", { class: "legend" }, series.map((each) =>
    h("li", { key: each.name },
      h("span", { class: `swatch color-${each.color}`, "aria-hidden": "true" }),
      h("span", {}, each.name),
      h("b", {}, told(each)))));
}

function describe(label, times, series, format) {
  const parts = series.map(({ name, values, hasEnded }) => {
    const known = values.filter((value) => value !== null && value !== undefined);
    if (!known.length) return `${name}: nothing`;
    return `${name}: ${hasEnded ? "ended" : `${format(known.at(-1))} now`}, ${format(Math.max(...known))} at most`;
  });
  return `${label}. ${parts.join("; ")}. The arrow keys read it step by step.`;
}

function stepAt(event, number) {
  const box = event.currentTarget.getBoundingClientRect();
  const part = (event.clientX - box.left) / box.width;
  return Math.max(0, Math.min(number - 1, Math.round(part * (number - 1))));
}

function onKey(event, cursor, number, point) {
  const last = number - 1;
  const from = cursor < 0 ? last : cursor;
  const moves = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: last, Escape: null };
  if (!(event.key in moves)) return;
  event.preventDefault();
  const to = moves[event.key];
  point(to === null ? null : Math.max(0, Math.min(last, to)));
}

/** The same as a table, for who cannot see curves or wants the figures. */
function figures(view, id, times, series, format) {
  const isOpen = tables.has(id);
  const toggle = (event) => {
    if (event.target.open === isOpen) return;
    event.target.open ? tables.add(id) : tables.delete(id);
    view.draw();
  };
  return h("details", { class: "figures", ontoggle: toggle },
    h("summary", {}, "Figures"),
    isOpen && h("div", { class: "scrolls", tabindex: "0", role: "region", "aria-label": "Figures" },
      h("table", {},
        h("thead", {}, h("tr", {}, h("th", {}, "from"), series.map(({ name }) => h("th", { class: "number" }, name)))),
        h("tbody", {}, times.map((at, number) => h("tr", {},
          h("th", { scope: "row" }, full(at)),
          series.map(({ values }) => h("td", { class: "number" }, format(values[number] ?? null)))))))));
}
