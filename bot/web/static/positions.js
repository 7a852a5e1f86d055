// Open positions: one card or row each, with what protects it and how far it has come.

import { byId, el, empty, keyed, redraw, setClass, setText, svg } from "./dom.js";
import { money, percent, price, quantity, stretch, tone, utc } from "./format.js";
import { side } from "./words.js";

const NAMES = [
  ["mark", "Mark"],
  ["entry", "Entry"],
  ["stop", "Stop"],
  ["target", "Target"],
  ["liquidation", "Liquidation"],
  ["age", "Held for"],
  ["size", "Size"],
];

export function update(page, choose) {
  const place = byId("positions-body");
  const found = page.positions ?? [];
  const open = found.reduce((sum, position) => sum + Number(position.unrealised_pnl ?? 0), 0);
  setText(byId("positions-sum"), found.length ? `${found.length} open, ${money(open, true)} so far` : "");
  if (!found.length) {
    redraw(place, "empty", () =>
      empty(
        page.phase === "recorded"
          ? "The daemon itself is not asked here, so nothing can be said of what is open now."
          : "Nothing is open. When a signal passes every gate, its position appears here with stop, target and liquidation price.",
      ),
    );
    return;
  }
  redraw(place, "list", () => el("ul", { class: "positions" }));
  const now = Date.parse(page.market_time_at);
  keyed(place.firstElementChild, found, (p) => p.trace_id, (p) => make(p, choose), (card, p) => refresh(card, p, now));
}

function make(position, choose) {
  const cell = ([key, name]) => el("div", { class: `f-${key}` }, el("dt", {}, name), el("dd", { class: `num v-${key}` }));
  return el(
    "li",
    { class: "position" },
    el(
      "div",
      { class: "who" },
      el("button", { type: "button", class: "name", title: "Show on the chart", onclick: () => choose(position.symbol) }, position.symbol),
      el("span", { class: `side ${side(position.side)}` }, side(position.side)),
      el("span", { class: "strategy" }, position.strategy),
    ),
    el("p", { class: "pnl num" }),
    el("div", { class: "ladder" }),
    el("dl", { class: "figures" }, NAMES.map(cell)),
    el("p", { class: "warn", hidden: true }),
  );
}

function refresh(card, position, now) {
  const values = {
    mark: price(position.mark),
    entry: price(position.entry_price),
    stop: price(position.stop),
    target: price(position.target),
    liquidation: price(position.liquidation_price),
    size: `${quantity(position.quantity)} (${money(Number(position.quantity) * Number(position.mark ?? position.entry_price))})`,
    age: stretch(now - Date.parse(position.opened_at)),
  };
  for (const [key, value] of Object.entries(values)) setText(card.querySelector(`.v-${key}`), value);
  card.querySelector(".v-age").title = `since ${utc(position.opened_at)}`;
  const pnl = card.querySelector(".pnl");
  setText(pnl, money(position.unrealised_pnl, true));
  setClass(pnl, `pnl num ${tone(position.unrealised_pnl)}`);
  const warn = card.querySelector(".warn");
  warn.hidden = position.stop_rests;
  setText(warn, position.stop_rests ? "" : "The venue has not shown its stop yet.");
  ladder(card.querySelector(".ladder"), position);
}

/** From stop to target: where the entry was, and where the mark is now. */
function ladder(place, position) {
  const [stop, target, entry, mark] = ["stop", "target", "entry_price", "mark"].map((key) => Number(position[key] ?? NaN));
  if (![stop, target, entry, mark].every(Number.isFinite) || stop === target) {
    redraw(place, "none", () => []);
    return;
  }
  const at = (value) => Math.min(100, Math.max(0, ((value - stop) / (target - stop)) * 100));
  const [start, here] = [at(entry), at(mark)];
  const ahead = here >= start;
  redraw(place, `${start.toFixed(1)} ${here.toFixed(1)}`, () =>
    svg(
      "svg",
      { viewBox: "0 0 100 12", preserveAspectRatio: "none", role: "img", "aria-label": `${percent(here / 100, 0)} of the way from stop to target` },
      svg("line", { class: "track", x1: 0, x2: 100, y1: 6, y2: 6 }),
      svg("line", { class: ahead ? "ahead" : "behind", x1: start, x2: here, y1: 6, y2: 6 }),
      svg("line", { class: "tick", x1: start, x2: start, y1: 2, y2: 10 }),
      svg("line", { class: "here", x1: here, x2: here, y1: 0, y2: 12 }),
    ),
  );
}
