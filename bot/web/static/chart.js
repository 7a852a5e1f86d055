// What both charts share: scales, grid, labels, and a crosshair for pointer and keyboard.

import { svg } from "./dom.js";

/** A linear scale from [a, b] to [c, d]. */
export function scale(a, b, c, d) {
  const slope = b === a ? 0 : (d - c) / (b - a);
  const to = (value) => c + (value - a) * slope;
  to.back = (pixel) => (slope === 0 ? a : a + (pixel - c) / slope);
  return to;
}

/** Round numbers within [low, high], about `count` of them. */
export function ticks(low, high, count) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const raw = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= raw) ?? 10 * power;
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) found.push(value);
  return found;
}

const STEPS_MS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 7200, 10080, 43200].map((m) => m * 60000);

/** Round times within [first, last] in the browser's zone, at most `count` of them. */
export function timeTicks(first, last, count) {
  const step = STEPS_MS.find((ms) => (last - first) / ms <= count) ?? STEPS_MS.at(-1);
  const shift = new Date(first).getTimezoneOffset() * 60000;
  const found = [];
  for (let at = Math.ceil((first - shift) / step) * step + shift; at <= last; at += step) found.push(at);
  return { at: found, step };
}

/** An empty drawing of the width of `parent`; redrawn by `draw` when the width changes. */
export function stage(parent, height, draw) {
  const root = svg("svg", { role: "img", tabindex: "0", focusable: "true" });
  parent.append(root);
  let width = 0;
  new ResizeObserver(([entry]) => {
    const now = Math.round(entry.contentRect.width);
    if (now === width || now === 0) return;
    width = now;
    draw();
  }).observe(parent);
  return {
    root,
    size() {
      const tall = typeof height === "function" ? height(width) : height;
      root.setAttribute("viewBox", `0 0 ${width} ${tall}`);
      root.setAttribute("width", width);
      root.setAttribute("height", tall);
      return { width, height: tall };
    },
  };
}

/** Lines across with their values at the right edge. */
export function grid(values, y, left, right, label) {
  return values.map((value) =>
    svg(
      "g",
      { class: "grid" },
      svg("line", { x1: left, x2: right, y1: crisp(y(value)), y2: crisp(y(value)) }),
      svg("text", { x: right + 8, y: y(value) + 4 }, label(value)),
    ),
  );
}

/** Times under the drawing. */
export function timeAxis(values, x, bottom, label) {
  return values.map((at) =>
    svg("text", { class: "axis", x: x(at), y: bottom + 18, "text-anchor": "middle" }, label(at)),
  );
}

/** Place of the row whose first column, a time in ms and rising, lies closest to `ms`. */
export function nearest(rows, ms) {
  let best = 0;
  rows.forEach(([at], place) => {
    if (Math.abs(at - ms) < Math.abs(rows[best][0] - ms)) best = place;
  });
  return best;
}

export const crisp = (pixel) => Math.round(pixel) + 0.5;

/**
 * Follow pointer and arrow keys over `root`. `count()` places, `nearest(px)` the place at a pixel,
 * `show(place or null)` draws it.
 */
export function crosshair(root, count, nearest, show) {
  let place = null;
  const move = (next) => {
    place = next;
    show(place);
  };
  root.addEventListener("pointermove", (event) => {
    const box = root.getBoundingClientRect();
    if (box.width > 0 && count() > 0) move(nearest(((event.clientX - box.left) / box.width) * root.viewBox.baseVal.width));
  });
  root.addEventListener("pointerleave", () => move(null));
  root.addEventListener("blur", () => move(null));
  root.addEventListener("keydown", (event) => {
    const last = count() - 1;
    const far = Math.max(1, Math.round(last / 10));
    const from = place ?? last;
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, PageUp: from - far, PageDown: from + far, Home: 0, End: last };
    if (event.key === "Escape") move(null);
    if (!(event.key in to) || last < 0) return;
    event.preventDefault();
    move(Math.min(last, Math.max(0, to[event.key])));
  });
  return { again: () => show(place !== null && place < count() ? place : null) };
}
