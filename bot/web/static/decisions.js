// Recent decisions: where each road ended, the score, every check, and the nearest miss.

import { json, withToken } from "./api.js";
import { byId, choices, el, empty, keyed, redraw, setText } from "./dom.js";
import { clock, percent, plain, time } from "./format.js";
import { check, result, said, side } from "./words.js";

const LIMIT = 60;
const SHOWN = 14;
const LEAST_MS = 2000;
const KINDS = [["all", "All"], ["taken", "Taken"], ["close", "Near misses"]];
const GATES = { asking: "Worth asking the council?", approval: "Approval gate: is it a good trade?", preview: "Preview: is there a size for it?", risk: "Risk gate: can the account bear it?" };

let version = null;
let asked = -Infinity;
let busy = false;
let kind = "all";
let more = false;
let found = null;

export async function update(page) {
  filter();
  const stale = page.versions?.decisions !== version && performance.now() - asked > LEAST_MS;
  if (busy || !stale) return;
  busy = true;
  asked = performance.now();
  try {
    const answer = await json(`/decisions?limit=${LIMIT}`);
    version = answer.stale ? null : page.versions?.decisions; // an old answer is asked for again
    found = answer.decisions;
    show();
  } catch (error) {
    redraw(byId("decisions-body"), `error ${error.message}`, () => empty(`The decisions could not be read: ${error.message}.`));
  } finally {
    busy = false;
  }
}

function filter() {
  choices(byId("decision-filter"), KINDS, kind, (value) => {
    kind = value;
    more = false;
    filter();
    show();
  });
}

const taken = (decision) => decision.result === "executed";
const gap = ({ nearest_miss: miss }) => Math.abs(miss.value - miss.limit) / (Math.abs(miss.limit) || 1);

function wanted() {
  if (kind === "taken") return found.filter(taken);
  if (kind === "close") return found.filter((d) => d.nearest_miss).sort((a, b) => gap(a) - gap(b));
  return found;
}

function show() {
  const place = byId("decisions-body");
  if (found === null) return;
  const list = wanted();
  if (!list.length) {
    const words = {
      all: "No strategy has wished for a trade yet. Each wish will stand here, taken or not, with the reason.",
      taken: "None of the last decisions was taken.",
      close: "None of the last decisions failed on a number.",
    };
    redraw(place, `empty ${kind}`, () => empty(words[kind]));
    return;
  }
  redraw(place, `list ${kind}`, () => [el("ol", { class: "decisions" }), el("button", { type: "button", class: "quiet more", onclick: () => { more = !more; show(); } })]);
  const [items, button] = place.children;
  const part = more ? list : list.slice(0, SHOWN);
  keyed(items, part, (d) => `${d.id} ${d.stage} ${d.result}`, item);
  button.hidden = list.length <= SHOWN;
  setText(button, more ? "Show fewer" : `Show all ${list.length}`);
}

function item(decision) {
  const end = taken(decision) ? "taken" : "not";
  const details = el(
    "details",
    { class: `decision ${end}` },
    el(
      "summary",
      {},
      time(decision.bar_close_ms, clock),
      el("span", { class: "name" }, decision.symbol),
      el("span", { class: `side ${side(decision.side)}` }, side(decision.side)),
      el("span", { class: "num score", title: "score, of 100" }, plain(decision.score.total, 0)),
      el("span", { class: "end" }, result(decision.result), near(decision)),
    ),
  );
  // Most are never opened: the inside is made when it is wanted.
  details.addEventListener("toggle", () => details.open && details.children.length === 1 && details.append(inside(decision)));
  return el("li", {}, details);
}

/** In a few words what stood in the way: the nearest number, else the rules by name. */
function near(decision) {
  const { nearest_miss: miss } = decision;
  if (taken(decision)) return null;
  if (miss) return el("small", {}, ` ${check(miss.code)} ${amount(miss.value, miss.unit)}, ${miss.value > miss.limit ? "allowed" : "needed"} ${amount(miss.limit, miss.unit)}`);
  const hard = decision.flags.filter((flag) => flag.hard).map((flag) => said(flag.code));
  const failed = decision.gates.flatMap((g) => g.checks).filter((c) => !c.ok).map((c) => check(c.code));
  const words = [hard.join(", "), failed.length ? `failed: ${failed.join(", ")}` : ""].filter(Boolean);
  return words.length ? el("small", {}, ` ${words.join("; ")}`) : null;
}

function inside(decision) {
  return el(
    "div",
    { class: "inside" },
    el("p", {}, `${decision.strategy}: ${decision.why || "no words"}. Market ${said(decision.regime)}.`),
    miss(decision),
    flags(decision.flags),
    parts(decision.score, decision.tier),
    votes(decision.council),
    decision.gates.map(gate),
    el("p", { class: "note" }, "Trace ", withToken() ? decision.id : el("a", { href: `/traces/${encodeURIComponent(decision.id)}` }, decision.id), `, thought about for ${plain(decision.duration_ms, 1)} ms.`),
  );
}

function miss({ nearest_miss: found }) {
  if (!found) return null;
  const others = found.also.length ? ` Also failed: ${[...new Set(found.also.map(check))].join(", ")}.` : " With that it would have passed.";
  return el("p", { class: "miss" }, el("b", {}, "Nearest miss: "), `${check(found.code)} was ${amount(found.value, found.unit)} and had to be at ${found.value > found.limit ? "most" : "least"} ${amount(found.limit, found.unit)}.`, others);
}

function flags(list) {
  if (!list.length) return null;
  return el("ul", { class: "flags" }, list.map((flag) => el("li", {}, el("b", {}, `${flag.hard ? "Red flag" : "Warning"}: ${said(flag.code)}`), ` ${flag.detail}`)));
}

function parts(score, tier) {
  if (!score.parts.length) return null;
  return el(
    "figure",
    {},
    el("figcaption", {}, `Score ${plain(score.total, 1)} of 100, tier ${tier}`),
    el(
      "ul",
      { class: "parts" },
      score.parts.map((part) =>
        el("li", {}, el("span", {}, said(part.name)), el("meter", { min: 0, max: 100, value: part.value, "aria-label": said(part.name) }), el("span", { class: "num" }, plain(part.value, 0)), el("small", {}, `weight ${plain(part.weight, 0)}`)),
      ),
    ),
  );
}

function votes(council) {
  if (!council) return null;
  return el(
    "figure",
    {},
    el("figcaption", {}, `The council said ${said(council.action).toLowerCase()}: ${council.why}`),
    el(
      "ul",
      { class: "votes" },
      council.opinions.map(opinion),
      council.abstentions.map((a) => el("li", {}, el("b", {}, a.seat), ` gave no vote: ${said(a.kind)}, ${a.detail}`, took(a))),
      (council.late ?? []).map((a) => el("li", {}, el("b", {}, a.seat), ` ${a.kind ? a.detail : `answered ${a.action} after ${plain(a.after_s, 0)} s`}; not counted`, took(a))),
    ),
  );
}

/** One seat's word, then what it rests on: cited facts, and what the facts do not bear out. */
function opinion(o) {
  const words = ` ${said(o.action).toLowerCase()}, confidence ${percent(o.confidence, 0)}${o.calibrated ? "" : " (uncalibrated)"}: ${o.reasoning}`;
  const cited = (o.evidence ?? []).map((one) => `${one.key} ${one.direction}`).join(", ");
  const rests = typeof o.evidence_score === "number" ? `Evidence ${percent(o.evidence_score, 0)} borne out: ${cited || "none cited"}.` : "";
  const made = o.fabricated?.length ? ` Not borne out: ${o.fabricated.join("; ")}.` : "";
  const warned = o.red_flags?.length ? ` It warns of: ${o.red_flags.join("; ")}.` : "";
  const below = `${rests}${made}${warned}`.trim();
  return el("li", {}, el("b", {}, o.seat), words, below ? el("small", {}, ` ${below}`) : null, took(o));
}

/** Where a model was asked: which, how long it took, what it cost, and what stands without an answer. */
function took(voice) {
  if (voice.from_cache) return el("small", {}, " From a stored answer.");
  if (!voice.tries) return null;
  const reserved = Number(voice.reserved_usd) ? `$${plain(Number(voice.reserved_usd), 4)} reserved without an answer` : "";
  return el("small", {}, ` ${[voice.model, `${plain(voice.ms / 1000, 1)} s`, `$${plain(Number(voice.cost_usd), 4)}`, reserved].filter(Boolean).join(", ")}.`);
}

function gate({ gate: name, ok, checks }) {
  return el(
    "figure",
    {},
    el("figcaption", {}, `${GATES[name] ?? said(name)} ${ok ? "Passed." : "Not passed."}`),
    el("ul", { class: "checks" }, checks.map(one)),
  );
}

function one(row) {
  const limit = row.limit === null ? "" : `, limit ${amount(row.limit, row.unit === "tier" ? "" : row.unit)}`;
  const value = row.value === null ? "" : `${amount(row.value, row.limit === null || row.unit === "tier" ? row.unit : "")}${limit}`;
  return el(
    "li",
    { class: row.ok ? "ok" : "failed" },
    el("span", { class: "mark" }, row.ok ? "✓" : "✗", el("span", { class: "sr" }, row.ok ? "passed" : "failed")),
    el("span", { class: "rule", title: row.note || null }, check(row.code)),
    el("span", { class: "num" }, value),
  );
}

/** A value with its unit; a text stays a text. */
function amount(value, unit) {
  const number = typeof value === "number" ? value : /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : NaN;
  if (Number.isNaN(number)) return said(value);
  if (unit === "ms") return amount(number / 1000, "s");
  const size = Math.abs(number);
  const text = plain(number, size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 4);
  if (unit === "tier") return `tier ${text}`;
  return unit && unit !== "points" ? `${text}\u00a0${unit}` : text;
}
