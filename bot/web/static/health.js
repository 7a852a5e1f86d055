// Breakers, components and the process itself.

import { byId, el, redraw, setText, table } from "./dom.js";
import { dayAndClock, money, percent, plain, stretch } from "./format.js";
import { breaker, component, dependency, said } from "./words.js";

export function update(page) {
  meters(page);
  open(page);
  components(page);
  resources(page);
  calls(page);
}

const FORMS = { fraction: (v) => percent(v, 1), "x median": (v) => `${plain(v, 1)}×` };
const LIFTED = { hand: "until somebody closes it", calm: "until it has been calm for a while" };

function meters(page) {
  const place = byId("meters");
  if (!page.gauges) {
    redraw(place, "none", () => el("p", { class: "empty" }, "The daemon's own page shows here how much of each limit is used."));
    return;
  }
  const shown = page.gauges.map((g) => {
    const form = FORMS[g.unit] ?? ((v) => plain(v, 0));
    const share = g.holds ? 1 : Math.min(1, (g.value ?? 0) / g.limit);
    return [breaker(g.code), form(g.value), form(g.limit), share];
  });
  redraw(place, JSON.stringify(shown.map((row) => [...row.slice(0, 3), row[3].toFixed(3)])), () =>
    shown.map(([name, value, limit, share]) =>
      el(
        "div",
        { class: `meter ${share >= 1 ? "full" : share >= 0.7 ? "near" : ""}` },
        el("span", {}, name),
        el("span", { class: "num" }, value, el("small", {}, ` of ${limit}`)),
        el("progress", { max: 1, value: share, "aria-label": `${name}: ${value} of ${limit}` }),
      ),
    ),
  );
}

function open(page) {
  const held = (page.gauges ?? []).filter((g) => g.holds).map((g) => ["bad", `${breaker(g.code)} is open`, g.until_at ? `until ${dayAndClock(g.until_at)}` : (LIFTED[g.lifted_by] ?? LIFTED.hand)]);
  const blocked = Object.entries(page.blocked ?? {}).map(([symbol, why]) => ["warn", `${symbol} is blocked`, why]);
  const doubt = page.clock_in_doubt ? [["warn", "The clock is in doubt", "no breaker closes by time until the venue agrees"]] : [];
  const rows = [...held, ...doubt, ...blocked];
  const past = (page.breaker_events ?? []).filter((one) => one.cleared_at);
  redraw(byId("breaker-list"), JSON.stringify([rows, past, page.phase]), () => [
    rows.length
      ? el("ul", { class: "plain" }, rows.map(([kind, what, why]) => el("li", { class: kind }, el("b", {}, what), `: ${why}`)))
      : page.gauges
        ? el("p", { class: "hint" }, "None is open. A full bar stops new entries; exits always go on.")
        : [],
    past.length
      ? el("details", { class: "as-table" }, el("summary", {}, "Closed before"), el("ul", { class: "plain" }, past.map((one) =>
          el("li", {}, `${breaker(one.event_type)}: ${dayAndClock(one.opened_at)} to ${dayAndClock(one.cleared_at)}`))))
      : [],
  ].flat());
}

function components(page) {
  const health = page.health;
  if (!health) return;
  const rows = health.components.map((c) => [c.state, component(c.name), c.detail]);
  for (const service of page.not_running ?? []) rows.push(["degraded", `Service ${service.name}`, `${said(service.condition)} ${service.last_error ?? ""}`]);
  for (const warning of page.warnings ?? []) rows.push(["degraded", "Configuration", warning]);
  redraw(byId("health-body"), JSON.stringify(rows), () =>
    el("ul", { class: "components" }, rows.map(([state, name, detail]) =>
      el("li", { class: state }, el("i", { class: "dot", "aria-hidden": "true" }), el("span", {}, name), el("span", { class: "state" }, state), el("span", { class: "detail" }, detail)),
    )),
  );
}

/** Each dependency: how often it was asked, how often in vain, and how long it took. */
function calls(page) {
  const place = byId("calls-body");
  const found = Object.entries(page.dependencies ?? {});
  if (!found.length) {
    redraw(place, "none", () => el("p", { class: "empty" }, "The daemon's own page shows here how venue, database and models answer."));
    return;
  }
  const ms = (value) => (value === null ? "–" : `${plain(value, value < 10 ? 1 : 0)}\u00a0ms`);
  const rows = found.map(([name, c]) => [dependency(name), plain(c.calls, 0), plain(c.errors, 0), ms(c.p50_ms), ms(c.p95_ms)]);
  const heads = [["What"], ["Calls", true], ["Errors", true], ["p50", true], ["p95", true]];
  redraw(place, JSON.stringify(rows), () => table("Calls of each dependency since the start", heads, rows));
}

/** Cost and what is reserved for calls that nobody answered: two rows, never one sum. */
export function modelsToday(m) {
  return [
    ["Models today", `${money(m.cost_usd)} of ${money(m.budget_usd)}, ${plain(m.answers, 0)} answers, ${plain(m.abstentions, 0)} abstentions`],
    ["Models, unanswered", `${money(m.reserved_usd)} reserved`],
  ];
}

function resources(page) {
  const r = page.resources;
  const place = byId("resources-body");
  if (!r) {
    redraw(place, "none", () => el("div", {}, el("dt", {}, "Process"), el("dd", {}, "not asked here")));
    return;
  }
  const rows = [
    ["Memory", `${plain(r.rss_mb, 0)} MB`],
    ["Processor", `${plain(r.cpu_percent, 0)} % of one core`],
    ["Loop late by (p99)", `${plain(r.loop_lag.p99_ms, 1)} ms`],
    ["Threads, open files", `${r.threads}, ${r.open_files}`],
    ["Last cycle", page.last_cycle?.machine_s === undefined ? "–" : `${plain(page.last_cycle.machine_s * 1000, 0)} ms, ${page.last_cycle.symbols} symbols`],
    ["Cycles", plain(page.cycles, 0)],
    ["Rows, traces, candles to write", page.queues ? ["money_rows", "traces", "candles"].map((name) => plain(page.queues[name], 0)).join(", ") : "–"],
    ["Entries, exits waiting", page.queues ? `${plain(page.queues.entries, 0)}, ${plain(page.queues.exits, 0)}` : "–"],
    ["Errors logged", plain(page.errors_logged, 0)],
    ...(page.models ? modelsToday(page.models) : []),
    ["Up for", stretch((page.health?.uptime_s ?? 0) * 1000)],
  ];
  if (place.childElementCount !== rows.length) place.replaceChildren(...rows.map(([name]) => el("div", {}, el("dt", {}, name), el("dd", {}))));
  rows.forEach(([, value], i) => setText(place.children[i].lastElementChild, value));
}

