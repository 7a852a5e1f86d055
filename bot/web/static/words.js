// Codes of the API in plain words; a code without words is shown as it is, without underscores.

export const said = (code) => String(code ?? "").replaceAll("_", " ");

const RESULTS = {
  executed: "Taken",
  not_worth_asking: "Not worth asking the council",
  hold: "The council said hold",
  no_quorum: "Too few votes",
  rejected: "Not approved",
  red_flag: "Stopped by a red flag",
  refused: "Refused by the risk gate",
  unsizeable: "No size fits the limits",
  expired: "Too old when its turn came",
  price_moved: "The price had moved away",
  approved: "A person said yes",
  unanswered: "Nobody has answered",
  queue_full: "Better signals came first",
  replaced: "Replaced by a newer signal",
  no_fill: "Ordered, but not filled",
  venue_rejected: "Rejected by the venue",
  unknown_outcome: "Sent, without an answer yet",
  closed_meanwhile: "Entries were closed before it was sent",
  not_durable: "Could not be written down, so not sent",
  no_signal: "No signal",
  no_new_candle: "No new candle",
  no_bars: "No candles",
  stale_data: "Data too old",
  quiet: "Too quiet a market",
  conflict: "Signals against each other",
  stopping: "Keel was stopping",
  error: "An error",
};
export const result = (code) => RESULTS[code] ?? said(code);

const CHECKS = {
  score: "score",
  confidence: "confidence",
  tier: "tier of the score",
  reward_to_risk: "reward to risk",
  hard_red_flag: "no hard red flag",
  quorum: "enough votes",
  worth_asking: "expected gain against its cost",
  decision: "the council agrees",
  regime_fit: "fits the regime",
  repeated_signal: "not a repeat",
  rules_may_trade: "rules alone may trade",
  approver: "approved by hand",
  signal_age: "life of the signal left",
  price_moved: "price moved since",
  trading_state: "trading is on",
  daily_loss: "loss of the day",
  drawdown: "drawdown",
  losses_in_row: "losses in a row",
  volatility: "the market's volatility",
  symbol_volatility: "the symbol's volatility",
  data: "prices are coming",
  api_errors: "errors of the venue",
  position_open: "no position yet",
  symbol_blocked: "symbol not blocked",
  max_positions: "number of positions",
  exposure: "exposure",
  correlation: "correlated exposure",
  trades_per_hour: "trades an hour",
  entry_spacing: "time between entries",
  leverage: "leverage",
  stop_distance: "distance of the stop",
  stop_before_liquidation: "stop before liquidation",
  max_loss: "largest loss",
  min_profit: "smallest profit",
  min_notional: "smallest order",
  precision: "lot and tick",
  min_margin: "smallest margin",
  margin: "free margin",
  spread: "spread",
  funding: "funding",
  data_fresh: "data is fresh",
  venue_healthy: "venue answers",
  clock_skew: "clocks agree",
  trace_backlog: "decisions are recorded",
};
export const check = (code) => CHECKS[code] ?? said(code);

const STEPS = {
  decided_bars: "Candles looked at",
  signals: "Signals",
  asked: "Put to the council",
  approved: "Approved",
  sized: "Sized",
  passed_risk: "Passed the risk gate",
  executed: "Executed",
  won: "Won",
};
export const step = (code) => STEPS[code] ?? said(code);

// The stage at which a road ends, and the step of the funnel it had reached by then.
export const LAST_STEP = {
  propose: "decided_bars",
  score: "signals",
  deliberate: "asked",
  approve: "asked",
  size: "approved",
  clear: "sized",
  execute: "passed_risk",
};

const EXITS = {
  stop: "stop",
  target: "target",
  trail: "trailed stop",
  time_stop: "time limit",
  manual: "by hand",
  flatten: "closed with all",
  unprotected: "had no stop",
  end_of_data: "end of the data",
  liquidation: "liquidation",
  venue: "closed at the venue",
};
export const exit = (code) => EXITS[code] ?? said(code);

const COMPONENTS = {
  database: "Database",
  venue: "Venue",
  clock: "Clock",
  market_data: "Market data",
  reconciliation: "Agreement with the venue",
  scheduler: "Scan",
  disk: "Disk",
  services: "Services",
};
export const component = (name) => COMPONENTS[name] ?? said(name);

// What a part that is not well means for trading; a part without a sentence stops nothing.
const MEANING = {
  database: "Nothing new is opened until it is back; open positions are looked after.",
  venue: "Nothing new is opened until it answers; stops stay at the venue.",
  clock: "Nothing new is opened until the clocks agree; open positions go by the venue's.",
  market_data: "Open positions are looked after; nothing new is opened on a price that is too old.",
  scheduler: "No new signal is looked for until it goes on; open positions are looked after.",
  services: "Open positions are looked after.",
};

export function unwell({ name, state, detail }) {
  const told = `${component(name)}: ${detail || said(state)}.`;
  return MEANING[name] ? `${told} ${MEANING[name]}` : told;
}

const DEPENDENCIES = {
  venue_questions: "Venue, questions",
  venue_actions: "Venue, orders",
  database_money: "Database, money",
  database_traces: "Database, the rest",
};
export const dependency = (name) => DEPENDENCIES[name] ?? said(name);

const BREAKERS = {
  daily_loss: "Loss of the day",
  drawdown: "Drawdown",
  losses_in_row: "Losses in a row",
  volatility: "Volatility",
  data: "Data",
  api_errors: "Errors of the venue",
};
export const breaker = (code) => BREAKERS[code] ?? said(code);

export const side = (code) => (code === "LONG" ? "long" : code === "SHORT" ? "short" : said(code));
