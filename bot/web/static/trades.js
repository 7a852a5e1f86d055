// Closed trades, newest first.

import { json } from "./api.js";
import { byId, el, empty, keyed, redraw, setText } from "./dom.js";
import { clock, dayAndClock, money, percent, price, stretch, time, tone } from "./format.js";
import { exit, side } from "./words.js";

const LIMIT = 40;
let version = null;
let busy = false;

export async function update(page, choose) {
  const today = new Date(page.market_time_at ?? 0).toDateString();
  const rate = page.win_rate === null || page.win_rate === undefined ? "" : `, ${percent(page.win_rate)} won`;
  const total = page.total_trades ?? 0;
  setText(byId("trades-sum"), total ? `${total}${rate}` : "");
  if (page.versions?.trades === version || busy) return;
  busy = true;
  try {
    const { trades } = await json(`/trades?limit=${LIMIT}`);
    version = page.versions?.trades;
    show(trades, today, choose);
  } catch (error) {
    redraw(byId("trades-body"), `error ${error.message}`, () => empty(`The trades could not be read: ${error.message}.`));
  } finally {
    busy = false;
  }
}

function show(trades, today, choose) {
  const place = byId("trades-body");
  if (!trades.length) {
    redraw(place, "empty", () => empty("No trade has been closed yet. Each one will stand here with its result after costs and why it ended."));
    return;
  }
  redraw(place, "list", () => el("ul", { class: "trades" }));
  keyed(place.firstElementChild, trades, (t) => `${t.trace_id}/${t.opened_at}`, (t) => row(t, today, choose));
}

function row(trade, today, choose) {
  const form = new Date(trade.closed_at).toDateString() === today ? clock : dayAndClock;
  return el(
    "li",
    {},
    el("button", { type: "button", class: "name", title: "Show on the chart", onclick: () => choose(trade.symbol) }, trade.symbol),
    el("span", { class: `side ${side(trade.side)}` }, side(trade.side)),
    el("span", { class: `num result ${tone(trade.net_pnl)}` }, money(trade.net_pnl, true)),
    el(
      "span",
      { class: "note" },
      time(trade.closed_at, form),
      `, ${exit(trade.exit_reason)}, after ${stretch(Date.parse(trade.closed_at) - Date.parse(trade.opened_at))}: `,
      el("span", { class: "num" }, `${price(trade.entry_price)} → ${price(trade.exit_price)}`),
    ),
  );
}
