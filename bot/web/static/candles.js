// The candle chart: closed bars, the one that is forming, entries and exits, stop and target.

import { json } from "./api.js";
import { crisp, crosshair, grid, nearest, scale, stage, ticks, timeAxis, timeTicks } from "./chart.js";
import { byId, choices, el, redraw, setText, svg, table } from "./dom.js";
import { clock, day, dayAndClock, money, plain, price, time, weekdayAndSeconds } from "./format.js";
import { exit, side } from "./words.js";

const UNIT_MS = { m: 60000, h: 3600000, d: 86400000 };
const SPACE = { left: 4, top: 14, bottom: 26 };
const EDGE_PX = 74; // the right edge, at least: prices of the grid, and the lines' names
const LETTER_PX = 7;
const LABEL_PX = 18;
const BAR_PX = 7;
const LEAST_MS = 1000; // machine time between two questions, however fast the market runs
const SETTLE_MS = 3000; // market time: a bar is closed by the clock plus 2 s

let symbol = null;
let byHand = false;
let frame = null;
let bars = [];
let trades = [];
let position = null;
let mark = null;
let now = 0;
let asked = -Infinity;
let key = "";
let busy = false;
let trouble = "";
let drawing = null;
let hair = null;
let geometry = null;
let forming = null;
let edge = EDGE_PX;

export function start() {
  drawing = stage(byId("candle-chart"), (width) => (width < 520 ? 260 : 340), draw);
  const at = (pixel) => nearest(shown(), geometry ? geometry.x.back(pixel) - length() / 2 : 0);
  hair = crosshair(drawing.root, () => shown().length, at, read);
  byId("symbol").addEventListener("change", (event) => choose(event.target.value));
  byId("candle-table").parentElement.addEventListener("toggle", tabulate);
}

/** Show a symbol and stay with it. */
export function choose(next) {
  byHand = true;
  turnTo(next, frame);
  draw();
}

/** Forget what belongs to another symbol or another length of candle. */
function turnTo(nextSymbol, nextFrame) {
  if (nextSymbol === symbol && nextFrame === frame) return;
  symbol = nextSymbol;
  frame = nextFrame;
  bars = [];
  trades = [];
  forming = null;
  position = null;
  mark = null;
  key = "";
}

export function update(page) {
  const symbols = page.symbols ?? Object.keys(page.marks ?? {});
  const held = (page.positions ?? []).map((p) => p.symbol);
  const frames = page.timeframes ?? ["1m", "5m", "15m"];
  const follow = byHand || held.includes(symbol) ? symbol : (held[0] ?? symbol ?? symbols[0] ?? null);
  turnTo(follow, frame ?? frames[0]);
  now = Date.parse(page.market_time_at ?? 0);
  position = (page.positions ?? []).find((p) => p.symbol === symbol) ?? null;
  mark = page.marks?.[symbol] ?? null;
  menu([...new Set([...symbols, ...held, ...(symbol ? [symbol] : [])])].sort());
  choices(byId("timeframes"), frames.map((f) => [f, f]), frame, (value) => {
    turnTo(symbol, value);
    update(page);
  });
  grow();
  const wanted = [symbol, frame, Math.floor((now - SETTLE_MS) / length()), page.versions?.trades, position?.trace_id].join();
  if (symbol && wanted !== key && !busy && (key === "" || performance.now() - asked > LEAST_MS)) load(wanted);
  draw();
}

const length = () => Number(frame.slice(0, -1)) * UNIT_MS[frame.at(-1)];

function menu(symbols) {
  const list = byId("symbol");
  redraw(list, symbols.join(), () => symbols.map((name) => el("option", { value: name }, name)));
  if (symbol && list.value !== symbol) list.value = symbol;
}

async function load(wanted) {
  busy = true;
  asked = performance.now();
  const what = { symbol, frame };
  try {
    const found = await json(`/candles?symbol=${encodeURIComponent(symbol)}&timeframe=${frame}&limit=240`);
    if (what.symbol !== symbol || what.frame !== frame) return;
    bars = found.bars;
    trades = found.trades;
    trouble = "";
    key = found.stale ? "old" : wanted; // an old answer is asked for again
    tabulate();
  } catch (error) {
    trouble = error.message;
    key = wanted;
  } finally {
    busy = false;
    draw();
  }
}

/** The bar that is not closed yet, from the marks seen by this page. */
function grow() {
  if (mark === null || !bars.length || !now) return;
  const opens = Math.floor(now / length()) * length();
  const last = bars.at(-1);
  if (opens <= last[0]) {
    forming = null;
    return;
  }
  if (forming?.[0] !== opens) forming = [opens, last[0] + length() === opens ? last[4] : mark, mark, mark, mark, 0];
  forming[2] = Math.max(forming[1], forming[2], mark);
  forming[3] = Math.min(forming[1], forming[3], mark);
  forming[4] = mark;
}

function shown() {
  const width = drawing ? drawing.root.viewBox.baseVal.width : 0;
  const fit = Math.max(20, Math.floor((width - SPACE.left - edge) / BAR_PX));
  const all = forming && bars.length && forming[0] > bars.at(-1)[0] ? [...bars, forming] : bars;
  return all.slice(-fit);
}

function draw() {
  if (!drawing) return;
  const { width, height } = drawing.size();
  if (!width) return;
  const lines = levels();
  edge = Math.max(EDGE_PX, ...lines.map((line) => 20 + LETTER_PX * label(line).length));
  const view = shown();
  if (!view.length) {
    geometry = null;
    drawing.root.replaceChildren();
    drawing.root.setAttribute("aria-label", "Candles: nothing to show yet");
    setText(byId("candle-readout"), trouble ? `The candles could not be read: ${trouble}.` : "Candles appear once the first cycle has looked at this symbol.");
    setText(byId("candle-legend"), "");
    return;
  }
  // Up to now and not only to the last bar: a trade can have ended since.
  const [first, end] = [view[0][0], Math.max(view.at(-1)[0] + length(), now)];
  const [low, high] = reach(view, lines);
  const [right, bottom] = [width - edge, height - SPACE.bottom];
  const x = scale(first, end, SPACE.left, right);
  const y = scale(low, high, bottom, SPACE.top);
  geometry = { x, y, right, bottom };
  const { at, step } = timeTicks(first, end, width < 520 ? 4 : 8);
  const spots = spread(lines, y, bottom);
  drawing.root.replaceChildren(
    ...grid(ticks(low, high, 5), y, SPACE.left, right, (value) => (free(y(value), spots) ? price(value) : "")),
    ...timeAxis(at.filter((ms) => x(ms) > 24 && x(ms) < right - 10), x, bottom, step >= UNIT_MS.d ? day : clock),
    ...view.map((bar) => candle(bar, x, y, bar === forming)),
    ...spots.map((spot) => level(spot, right)),
    ...past(first).map((trade) => path(trade, x, y)),
    ...(position ? [entry(Date.parse(position.opened_at), position.entry_price, position.side, x, y)] : []),
    svg("g", { class: "hair" }),
  );
  drawing.root.setAttribute("aria-label", summary(view));
  legend();
  hair.again();
}

/** The lines across: those of the position, and the mark last, over them. */
function levels() {
  const all = [
    ["stop", "stop ", position?.stop],
    ["target", "target ", position?.target],
    ["entry", "entry ", position?.entry_price],
    ["liquidation", "liq. ", position?.liquidation_price],
    ["mark", "", mark],
  ];
  return all
    .filter(([, , value]) => value !== null && value !== undefined)
    .map(([kind, name, value]) => ({ kind, name, value: Number(value) }));
}

/** Stop and target are always in the picture, a far liquidation price is not: it would flatten it. */
function reach(view, lines) {
  const near = lines.filter(({ kind }) => kind !== "liquidation" && kind !== "mark").map((line) => line.value);
  const low = Math.min(...view.map((bar) => bar[3]), ...near);
  const high = Math.max(...view.map((bar) => bar[2]), ...near);
  const room = (high - low) * 0.06 || high * 0.001;
  return [low - room, high + room];
}

function candle([at, open, high, low, close], x, y, unfinished) {
  const middle = crisp(x(at + length() / 2));
  const half = Math.max(1, Math.floor((x(at + length()) - x(at)) * 0.34));
  const top = y(Math.max(open, close));
  const tall = Math.max(1, y(Math.min(open, close)) - top);
  return svg(
    "g",
    { class: `${close >= open ? "up" : "dn"}${unfinished ? " forming" : ""}` },
    svg("line", { x1: middle, x2: middle, y1: y(high), y2: y(low) }),
    svg("rect", { x: middle - half, width: 2 * half, y: top, height: tall }),
  );
}

const label = ({ name, value }) => `${name}${price(value)}`;

/** Whether a price of the grid touches none of the labels. */
const free = (height, spots) => spots.every((spot) => Math.abs(spot.label - height) > LABEL_PX - 3);

/** Where each line runs and where its label stands: beside it, or as near as the others let it. */
function spread(lines, y, bottom) {
  const spots = lines.map((line) => ({ line, at: y(line.value) })).filter(({ at }) => at >= 2 && at <= bottom);
  const down = [...spots].sort((one, other) => one.at - other.at);
  down.forEach((spot, place) => (spot.label = Math.max(spot.at, place ? down[place - 1].label + LABEL_PX : 0)));
  let floor = bottom;
  for (const spot of down.reverse()) {
    spot.label = Math.min(spot.label, floor);
    floor = spot.label - LABEL_PX;
  }
  return spots;
}

function level({ line, at, label: height }, right) {
  return svg(
    "g",
    { class: `level ${line.kind}` },
    svg("line", { x1: SPACE.left, x2: right, y1: crisp(at), y2: crisp(at) }),
    svg("rect", { x: right + 2, y: height - 9, width: 16 + LETTER_PX * label(line).length, height: LABEL_PX, rx: 3 }),
    svg("text", { x: right + 8, y: height + 4 }, label(line)),
  );
}

const past = (first) => trades.filter((trade) => Date.parse(trade.closed_at) >= first);

function path(trade, x, y) {
  const [from, to] = [Date.parse(trade.opened_at), Date.parse(trade.closed_at)];
  const inside = Math.max(SPACE.left, x(from));
  const kind = Number(trade.net_pnl) >= 0 ? "won" : "lost";
  return svg(
    "g",
    { class: `trade ${kind}` },
    svg("title", {}, `${trade.symbol} ${side(trade.side)}, ${exit(trade.exit_reason)}, ${money(trade.net_pnl, true)}`),
    svg("line", { x1: inside, x2: x(to), y1: y(trade.entry_price), y2: y(trade.exit_price) }),
    x(from) >= SPACE.left ? entry(from, trade.entry_price, trade.side, x, y) : null,
    svg("circle", { class: "exit", cx: x(to), cy: y(trade.exit_price), r: 4 }),
  );
}

/** A triangle that points the way the trade hoped for. */
function entry(at, value, way, x, y) {
  const [px, py, d] = [x(at), y(Number(value)), way === "LONG" ? -1 : 1];
  return svg("path", { class: "entry-mark", d: `M${px - 5.5} ${py - 4.5 * d}L${px + 5.5} ${py - 4.5 * d}L${px} ${py + 5 * d}Z` });
}

function summary(view) {
  const held = position ? ` Open ${side(position.side)} from ${price(position.entry_price)}, stop ${price(position.stop)}, target ${price(position.target)}.` : "";
  return `${symbol}, ${frame} candles from ${dayAndClock(view[0][0])} to ${dayAndClock(view.at(-1)[0])}, last ${price(view.at(-1)[4])}.${held} ${past(view[0][0]).length} closed trades in the picture. Arrow keys read single candles.`;
}

function legend() {
  const parts = [
    "Hollow candles rose, filled ones fell, the pale one is still forming.",
    past(shown()[0][0]).length || position ? "Triangle: entry, pointing the way of the trade. Ring: exit." : `No trade of ${symbol} in this stretch.`,
  ];
  setText(byId("candle-legend"), parts.join(" "));
}

function read(place) {
  const layer = drawing.root.querySelector(".hair");
  if (!layer || !geometry) return;
  const view = shown();
  const bar = view[place ?? view.length - 1];
  if (!bar) return;
  layer.replaceChildren();
  if (place !== null) {
    const middle = geometry.x(bar[0] + length() / 2);
    layer.append(svg("line", { x1: middle, x2: middle, y1: SPACE.top, y2: geometry.bottom }));
  }
  const [at, open, high, low, close, volume] = bar;
  const kind = bar === forming ? " (forming, from the prices seen here)" : `, volume ${plain(volume, 0)}`;
  setText(byId("candle-readout"), `${weekdayAndSeconds(at)}: open ${price(open)}, high ${price(high)}, low ${price(low)}, close ${price(close)}${kind}`);
}

function tabulate() {
  const place = byId("candle-table");
  if (!place.parentElement.open) return;
  const rows = bars.slice(-60).reverse().map(([at, ...prices]) => [time(at), ...prices.slice(0, 4).map(price), plain(prices[4], 0)]);
  place.replaceChildren(
    table(`${symbol}, ${frame}, newest first`, [["Opened"], ["Open", true], ["High", true], ["Low", true], ["Close", true], ["Volume", true]], rows),
  );
}
