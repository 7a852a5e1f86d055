// Equity: the figure, the curve with its drawdown, and the same as a table.

import { json } from "./api.js";
import { crosshair, grid, nearest, scale, stage, ticks, timeAxis, timeTicks } from "./chart.js";
import { byId, choices, el, redraw, setText, svg, table } from "./dom.js";
import { clock, day, dayAndClock, money, moneyOf, percent, time, tone, weekdayAndSeconds } from "./format.js";

const DAY_MS = 86400000;
const RANGES = [["all", "All"], ["week", "Week"], ["day", "Day"], ["hours", "6 h"]];
const LENGTH = { week: 7 * DAY_MS, day: DAY_MS, hours: DAY_MS / 4 };
const LIMIT = 600;
const MOST = 1500; // points kept here before they are asked for anew
const REFRESH_MS = 60000;
const AGAIN_MS = 5000; // after an old answer
const SPACE = { left: 4, right: 62, top: 12, bottom: 26 };

let points = []; // [ms, equity, peak]
let baseline = null;
let range = "all";
let now = 0;
let asked = -Infinity;
let drawing = null;
let hair = null;
let geometry = null;

export function start() {
  drawing = stage(byId("equity-chart"), (width) => (width < 520 ? 190 : 345), draw);
  hair = crosshair(
    drawing.root,
    () => points.length,
    (pixel) => nearest(points, geometry ? geometry.x.back(pixel) : 0),
    read,
  );
  byId("equity-table").parentElement.addEventListener("toggle", tabulate);
}

export function update(page) {
  now = Date.parse(page.market_time_at ?? 0);
  baseline = page.baseline === undefined || page.baseline === null ? null : Number(page.baseline);
  figures(page);
  choices(byId("equity-range"), RANGES, range, (value) => {
    range = value;
    asked = -Infinity;
    update(page);
  });
  if (performance.now() - asked > REFRESH_MS || points.length > MOST) load();
  else if (page.equity !== null && now) append(Number(page.equity), Number(page.drawdown_peak));
}

function append(equity, peak) {
  const last = points.at(-1);
  if (last && last[0] >= now) return;
  points.push([now, equity, Math.max(peak || equity, equity)]);
  if (range !== "all") points = points.filter((point) => point[0] >= now - LENGTH[range]);
  draw();
}

async function load() {
  asked = performance.now();
  const since = range === "all" ? "" : `&since=${new Date(now - LENGTH[range]).toISOString()}`;
  try {
    const found = await json(`/equity?limit=${LIMIT}${since}`);
    if (found.stale) asked -= REFRESH_MS - AGAIN_MS;
    points = found.points.map(([ms, equity, peak]) => [ms, Number(equity), Number(peak)]);
    draw();
    tabulate();
  } catch (error) {
    setText(byId("equity-readout"), `The curve could not be read: ${error.message}.`);
  }
}

function figures(page) {
  setText(byId("equity-now"), money(page.equity));
  const peak = Number(page.drawdown_peak);
  const down = peak > 0 && page.equity !== null ? Math.max(0, 1 - Number(page.equity) / peak) : null;
  const total = baseline === null ? null : Number(page.equity) - baseline;
  const rows = [
    ["Since the start", money(total, true), tone(total), baseline ? percent(total / baseline, 2) : ""],
    ["Today (UTC)", money(page.daily_pnl, true), tone(page.daily_pnl), ""],
    ["Below the peak", percent(down, 2), "", peak ? `of ${money(peak)}` : ""],
    ["Fees and funding", money(cost(page)), "", "included"],
  ].filter((row) => row[1] !== "–");
  redraw(byId("equity-figures"), JSON.stringify(rows), () =>
    rows.map(([name, value, kind, note]) =>
      el("div", {}, el("dt", {}, name), el("dd", { class: `num ${kind}` }, value, note ? el("small", {}, ` ${note}`) : null)),
    ),
  );
}

const cost = (page) => (page.fees === undefined ? null : Number(page.funding ?? 0) - Number(page.fees));

function draw() {
  if (!drawing) return;
  const { width, height } = drawing.size();
  if (!width) return;
  const { root } = drawing;
  if (points.length < 2) {
    geometry = null;
    root.replaceChildren();
    root.setAttribute("aria-label", "Equity: no curve yet");
    redraw(byId("equity-readout"), "empty", () =>
      "The curve begins with the first cycle after start-up: a point a cycle from then on.");
    return;
  }
  const values = points.map((point) => point[1]);
  const peaks = running();
  const known = [...values, ...peaks, ...(baseline === null ? [] : [baseline])];
  const [low, high] = padded(Math.min(...known), Math.max(...known));
  const steps = ticks(low, high, 4);
  const name = moneyOf(steps);
  const longest = Math.max(...steps.map((value) => name(value).length));
  const right = width - Math.max(SPACE.right, 10 + 7 * longest);
  const bottom = height - SPACE.bottom;
  const x = scale(points[0][0], points.at(-1)[0], SPACE.left, right);
  const y = scale(low, high, bottom, SPACE.top);
  geometry = { x, y, right, bottom };
  const line = points.map((point, i) => `${i ? "L" : "M"}${x(point[0]).toFixed(1)} ${y(point[1]).toFixed(1)}`).join("");
  const under = points.map((point, i) => `L${x(points.at(-1 - i)[0]).toFixed(1)} ${y(peaks.at(-1 - i)).toFixed(1)}`).join("");
  const { at, step } = timeTicks(points[0][0], points.at(-1)[0], width < 520 ? 4 : 7);
  root.replaceChildren(
    ...grid(steps, y, SPACE.left, right, name),
    ...timeAxis(at.filter((ms) => x(ms) > 24 && x(ms) < right - 10), x, bottom, step >= DAY_MS ? day : clock),
    svg("path", { class: "down", d: `${line}${under}Z` }),
    ...(baseline === null ? [] : [svg("line", { class: "base", x1: SPACE.left, x2: right, y1: y(baseline), y2: y(baseline) })]),
    svg("path", { class: "curve", d: line }),
    svg("circle", { class: "tip", cx: x(points.at(-1)[0]), cy: y(values.at(-1)), r: 3.5 }),
    svg("g", { class: "hair" }),
  );
  root.setAttribute("aria-label", summary(values, peaks));
  hair.again();
}

function running() {
  let peak = -Infinity;
  return points.map((point) => (peak = Math.max(peak, point[1], point === points[0] ? point[2] : -Infinity)));
}

function padded(low, high) {
  const room = Math.max((high - low) * 0.08, Math.abs(high) * 0.0005, 0.01);
  return [low - room, high + room];
}

function deepest(values, peaks) {
  return Math.max(0, ...values.map((value, i) => (peaks[i] > 0 ? 1 - value / peaks[i] : 0)));
}

function summary(values, peaks) {
  return (
    `Equity from ${dayAndClock(points[0][0])} to ${dayAndClock(points.at(-1)[0])}: from ${money(values[0])} to ` +
    `${money(values.at(-1))}, deepest drawdown ${percent(deepest(values, peaks), 2)}. Arrow keys read single points.`
  );
}

function read(place) {
  const layer = drawing.root.querySelector(".hair");
  if (!layer || !geometry) return;
  const peaks = running();
  const out = byId("equity-readout");
  delete out.dataset.key;
  if (place === null) {
    layer.replaceChildren();
    setText(out, `Line: equity. Shaded: below the peak, at most ${percent(deepest(points.map((p) => p[1]), peaks), 2)} in this stretch. Dashed: the start.`);
    return;
  }
  const [at, value] = points[place];
  const { x, y, bottom } = geometry;
  layer.replaceChildren(
    svg("line", { x1: x(at), x2: x(at), y1: SPACE.top, y2: bottom }),
    svg("circle", { cx: x(at), cy: y(value), r: 4 }),
  );
  setText(out, `${weekdayAndSeconds(at)}: ${money(value)}, ${percent(Math.max(0, 1 - value / peaks[place]), 2)} below the peak`);
}

function tabulate() {
  const place = byId("equity-table");
  if (!place.parentElement.open || points.length < 2) return;
  const peaks = running();
  const step = Math.max(1, Math.ceil(points.length / 40));
  const rows = points
    .map((point, i) => [point, peaks[i], i])
    .filter(([, , i]) => i % step === 0 || i === points.length - 1)
    .reverse()
    .map(([[at, value], peak]) => [time(at), money(value), percent(Math.max(0, 1 - value / peak), 2)]);
  place.replaceChildren(table("Equity, newest first", [["Time"], ["Equity", true], ["Below the peak", true]], rows));
}
