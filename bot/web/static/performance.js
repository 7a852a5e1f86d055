// Closed trades added up: the win rate over time with its band, and who earned what.

import { json } from "./api.js";
import { crosshair, grid, nearest, scale, stage, ticks, timeAxis, timeTicks } from "./chart.js";
import { byId, el, empty, redraw, setText, svg, table } from "./dom.js";
import { clock, day, money, percent, plain, time, tone, weekdayAndSeconds } from "./format.js";

const DAY_MS = 86400000;
const SPACE = { left: 4, right: 48, top: 10, bottom: 26 };
const HALF = 0.5;
const LEAST_MS = 2000;

let version = null;
let asked = -Infinity;
let busy = false;
let points = []; // [ms, rate, low, high, trades]
let span = 0;
let drawing = null;
let hair = null;
let geometry = null;

export function start() {
  drawing = stage(byId("rate-chart"), (width) => 260, draw);
  hair = crosshair(drawing.root, () => points.length, (pixel) => nearest(points, geometry ? geometry.x.back(pixel) : 0), read);
  byId("rate-table").parentElement.addEventListener("toggle", tabulate);
}

export async function update(page) {
  const rate = page.win_rate;
  setText(byId("rate-now"), rate === null || rate === undefined ? "" : `${percent(rate)} won, of ${plain(page.trades_counted, 0)}`);
  if (page.versions?.trades === version || busy || performance.now() - asked < LEAST_MS) return;
  busy = true;
  asked = performance.now();
  try {
    const found = await json("/trades/summary");
    version = found.stale ? null : page.versions?.trades; // an old answer is asked for again
    points = found.course.points;
    span = found.course.window;
    draw();
    tabulate();
    list("symbols-body", found.symbols, "No trade has been closed yet.");
    list("strategies-body", found.strategies, "No trade has been closed yet.");
  } catch (error) {
    for (const id of ["symbols-body", "strategies-body"]) redraw(byId(id), `error ${error.message}`, () => empty(`The trades could not be added up: ${error.message}.`));
  } finally {
    busy = false;
  }
}

/** Best first: what was earned, and the win rate with its 95 % interval as a bar of whiskers. */
function list(id, rows, none) {
  const place = byId(id);
  if (!rows.length) {
    redraw(place, "empty", () => empty(none));
    return;
  }
  redraw(place, JSON.stringify(rows), () => el("ol", { class: "standings" }, rows.map(row)));
}

function row({ name, trades, win_rate: rate, ci95, net_usd: net }) {
  const [low, high] = ci95 ?? [0, 1];
  const said = `${percent(rate, 0)} of ${plain(trades, 0)} won`;
  return el(
    "li",
    {},
    el("span", { class: "name", title: name }, name),
    el("span", { class: `num result ${tone(net)}` }, money(net, true)),
    el("span", { class: "whiskers" }, whiskers(rate, low, high, `${said}, 95 % interval ${percent(low, 0)} to ${percent(high, 0)}`)),
    el("small", { class: "num" }, said),
  );
}

function whiskers(rate, low, high, label) {
  const at = (share) => (share * 100).toFixed(1);
  return svg(
    "svg",
    { viewBox: "0 0 100 12", preserveAspectRatio: "none", role: "img", "aria-label": label },
    svg("title", {}, label),
    svg("line", { class: "track", x1: 0, x2: 100, y1: 6, y2: 6 }),
    svg("line", { class: "half", x1: 50, x2: 50, y1: 1, y2: 11 }),
    svg("line", { class: "reach", x1: at(low), x2: at(high), y1: 6, y2: 6 }),
    svg("line", { class: "here", x1: at(rate), x2: at(rate), y1: 1, y2: 11 }),
  );
}

function draw() {
  if (!drawing) return;
  const { width, height } = drawing.size();
  if (!width) return;
  const { root } = drawing;
  if (points.length < 2) {
    geometry = null;
    root.replaceChildren();
    root.setAttribute("aria-label", "Win rate: no curve yet");
    setText(byId("rate-readout"), "The curve begins with the second closed trade.");
    return;
  }
  const right = width - SPACE.right;
  const bottom = height - SPACE.bottom;
  const x = scale(points[0][0], points.at(-1)[0], SPACE.left, right);
  const y = scale(0, 1, bottom, SPACE.top);
  geometry = { x, y, bottom };
  const path = (column) => points.map((point, i) => `${i ? "L" : "M"}${x(point[0]).toFixed(1)} ${y(point[column]).toFixed(1)}`).join("");
  const back = points.map((_, i) => `L${x(points.at(-1 - i)[0]).toFixed(1)} ${y(points.at(-1 - i)[2]).toFixed(1)}`).join("");
  const { at, step } = timeTicks(points[0][0], points.at(-1)[0], width < 520 ? 3 : 5);
  root.replaceChildren(
    ...grid(ticks(0, 1, 4), y, SPACE.left, right, (value) => percent(value, 0)),
    ...timeAxis(at.filter((ms) => x(ms) > 24 && x(ms) < right - 10), x, bottom, step >= DAY_MS ? day : clock),
    svg("path", { class: "band-area", d: `${path(3)}${back}Z` }),
    svg("line", { class: "base", x1: SPACE.left, x2: right, y1: y(HALF), y2: y(HALF) }),
    svg("path", { class: "curve", d: path(1) }),
    svg("circle", { class: "tip", cx: x(points.at(-1)[0]), cy: y(points.at(-1)[1]), r: 3.5 }),
    svg("g", { class: "hair" }),
  );
  const [, rate, low, high] = points.at(-1);
  root.setAttribute("aria-label", `Win rate of the last ${span} trades, now ${percent(rate, 0)}, 95 % interval ${percent(low, 0)} to ${percent(high, 0)}. Arrow keys read single trades.`);
  hair.again();
}

function read(place) {
  const layer = drawing.root.querySelector(".hair");
  if (!layer || !geometry) return;
  const out = byId("rate-readout");
  if (place === null) {
    layer.replaceChildren();
    setText(out, `Line: won of the last ${span} trades. Band: where the true rate lies, 95 in 100 times. Dashed: half.`);
    return;
  }
  const [at, rate, low, high, trades] = points[place];
  const { x, y, bottom } = geometry;
  layer.replaceChildren(
    svg("line", { x1: x(at), x2: x(at), y1: SPACE.top, y2: bottom }),
    svg("circle", { cx: x(at), cy: y(rate), r: 4 }),
  );
  setText(out, `${weekdayAndSeconds(at)}: ${percent(rate, 0)} of ${trades}, between ${percent(low, 0)} and ${percent(high, 0)}`);
}

function tabulate() {
  const place = byId("rate-table");
  if (!place.parentElement.open || !points.length) return;
  const rows = points.slice(-40).reverse().map(([at, rate, low, high, trades]) => [time(at), percent(rate, 0), `${percent(low, 0)} to ${percent(high, 0)}`, String(trades)]);
  place.replaceChildren(table("Win rate, newest first", [["Closed"], ["Won", true], ["95 % interval", true], ["Of trades", true]], rows));
}
