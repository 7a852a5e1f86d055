// Breakers, components and the process itself.

import { byId, el, redraw, setText } from "./dom.js";
import { dayAndClock, percent, plain, stretch } from "./format.js";
import { breaker, component, said } from "./words.js";

export function update(page) {
  meters(page);
  open(page);
  components(page);
  resources(page);
}

function meters(page) {
  const limits = page.breaker_limits;
  const place = byId("meters");
  if (!limits) {
    redraw(place, "none", () => el("p", { class: "empty" }, "The daemon's own page shows here how much of each limit is used."));
    return;
  }
  const equity = Number(page.equity);
  const peak = Number(page.drawdown_peak);
  const opened = equity - Number(page.daily_pnl);
  const rows = [
    ["daily_loss", opened > 0 ? Math.max(0, -Number(page.daily_pnl) / opened) : 0, limits.daily_loss_frac, (v) => percent(v, 1)],
    ["drawdown", peak > 0 ? Math.max(0, 1 - equity / peak) : 0, limits.drawdown_frac, (v) => percent(v, 1)],
    ["losses_in_row", page.losses_in_row, limits.losses_in_row, (v) => plain(v, 0)],
  ];
  const shown = rows.map(([code, value, limit, form]) => [breaker(code), form(value), form(limit), Math.min(1, value / limit)]);
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
  const held = (page.breakers ?? []).map((b) => ["bad", `${breaker(b.code)} is open`, b.until ? `until ${dayAndClock(b.until)}` : "until somebody closes it", ""]);
  const blocked = Object.entries(page.blocked ?? {}).map(([symbol, why]) => ["warn", `${symbol} is blocked`, why, ""]);
  const rows = [...held, ...blocked];
  redraw(byId("breaker-list"), JSON.stringify([rows, page.phase]), () =>
    rows.length
      ? el("ul", { class: "plain" }, rows.map(([kind, what, why]) => el("li", { class: kind }, el("b", {}, what), `: ${why}`)))
      : page.breaker_limits
        ? el("p", { class: "hint" }, "None is open. A full bar stops new entries; exits always go on.")
        : [],
  );
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
    ["Traces to write", plain(page.trace_backlog, 0)],
    ["Errors logged", plain(page.errors_logged, 0)],
    ["Up for", stretch((page.health?.uptime_s ?? 0) * 1000)],
  ];
  if (place.childElementCount !== rows.length) place.replaceChildren(...rows.map(([name]) => el("div", {}, el("dt", {}, name), el("dd", {}))));
  rows.forEach(([, value], i) => setText(place.children[i].lastElementChild, value));
}

