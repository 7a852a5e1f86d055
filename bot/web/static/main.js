// Ties the panels to the stream, and says plainly when what is shown is no longer true.

import { staleSince } from "./api.js";
import * as approvals from "./approvals.js";
import * as candles from "./candles.js";
import * as decisions from "./decisions.js";
import { byId, el, redraw, setClass, setText } from "./dom.js";
import * as equity from "./equity.js";
import { plain, seconds, stretch, utc, weekdayAndSeconds } from "./format.js";
import * as funnel from "./funnel.js";
import * as health from "./health.js";
import * as log from "./log.js";
import * as performance from "./performance.js";
import * as positions from "./positions.js";
import { follow } from "./stream.js";
import * as trades from "./trades.js";
import { breaker, said, unwell } from "./words.js";

const MODES = {
  demo: "Demo: invented market and money",
  paper: "Paper: a real market, invented money",
  live: "Live: real money",
};
const STATES = { ACTIVE: "Trading", REDUCE_ONLY: "Closing only", HALTED: "Halted" };
const PHASES = {
  starting: "Keel is starting.",
  reconciling: "Keel is comparing its books with the venue. It trades after that.",
  stopping: "Keel is stopping: no new entries, stops stay at the venue.",
};

let last = null;
let heardAt = null;

function show(page) {
  last = page;
  heardAt = Date.now();
  header(page);
  health.update(page);
  equity.update(page);
  approvals.update(page);
  positions.update(page, pick);
  candles.update(page);
  trades.update(page, pick);
  decisions.update(page);
  funnel.update(page);
  performance.update(page);
  log.update();
}

function pick(symbol) {
  candles.choose(symbol);
  if (last) candles.update(last);
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  byId("candles").scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "nearest" });
}

function header(page) {
  chip("mode", MODES[page.mode] ?? page.mode, page.mode === "live" ? "chip strong" : "chip");
  const state = page.trading_state;
  const kind = state === "ACTIVE" ? "chip good" : "chip bad";
  const held = (page.breakers ?? []).map((one) => breaker(one.code).toLowerCase());
  if (state === "ACTIVE" && held.length) chip("trading", `No new entries: ${held.join(", ")}`, "chip bad");
  else if (typeof state === "string") chip("trading", `${STATES[state] ?? said(state)}${page.trading_state_why ? `: ${page.trading_state_why}` : ""}`, kind);
  const at = page.market_time_at;
  const place = byId("market-time");
  setText(place, at ? `${weekdayAndSeconds(at)}${pace(page)}` : "");
  if (at) place.title = utc(at);
  setText(byId("about"), `Keel ${page.version}, profile ${page.profile ?? "–"}, world ${page.world ?? "–"}.`);
  const wanted = page.approvals?.length ? "Answer wanted: " : "";
  document.title = `${wanted}${page.positions?.length ? `(${page.positions.length}) ` : ""}Keel`;
}

function pace({ speed }) {
  if (speed === undefined || speed === 1) return "";
  return speed === "max" ? " market time, as fast as it goes" : ` market time, ${plain(speed, 0)} × yours`;
}

function chip(id, text, kind) {
  const node = byId(id);
  node.hidden = false;
  setText(node, text);
  setClass(node, kind);
}

function told({ fresh, ever, silentMs, retryMs, why }) {
  document.body.classList.toggle("stale", ever && !fresh);
  const state = fresh ? (last?.phase === "recorded" ? "recorded" : "live") : ever ? `no news for ${stretch(silentMs)}` : "connecting";
  setText(byId("stream").lastElementChild, state);
  setClass(byId("stream"), `stream ${fresh ? "fresh" : "old"}`);
  notices({ fresh, ever, silentMs, retryMs, why });
}

function notices({ fresh, ever, silentMs, retryMs, why }) {
  const lines = [];
  if (ever && !fresh) {
    const again = retryMs > 0 ? ` Trying again in ${Math.ceil(retryMs / 1000)} s.` : "";
    lines.push(["bad", `Nothing heard for ${stretch(silentMs)}${why ? ` (${why})` : ""}. What you see is from ${seconds(heardAt)}.${again}`]);
  } else if (!ever && (why || silentMs > 5000)) {
    lines.push(["bad", `No connection yet${why ? `: ${why}` : ""}. Trying again${retryMs > 0 ? ` in ${Math.ceil(retryMs / 1000)} s` : ""}.`]);
  }
  if (last && fresh) lines.push(...troubles(last));
  redraw(byId("notices"), JSON.stringify(lines), () => lines.map(([kind, text]) => el("p", { class: `notice ${kind}` }, text)));
}

function troubles(page) {
  const lines = [];
  if (PHASES[page.phase]) lines.push(["info", PHASES[page.phase]]);
  if (page.phase === "recorded") {
    const seen = page.daemon_last_seen_at;
    lines.push(["warn", `This is what the daemon left in its database${seen ? `, up to ${weekdayAndSeconds(seen)} market time` : ""}. The daemon itself is not asked.`]);
  }
  if (page.phase !== "running") return lines;
  const since = staleSince();
  if (since) lines.push(["warn", `Trades, decisions, curves and candles may be from ${weekdayAndSeconds(since)} market time: the database does not answer now.`]);
  for (const part of page.health?.components ?? []) {
    if (part.state !== "ok") lines.push([part.state === "failing" ? "bad" : "warn", unwell(part)]);
  }
  return lines;
}

equity.start();
candles.start();
performance.start();
log.start();
follow(show, told);
