// Trades that wait for a person: one card each, with what is at stake, and two buttons.

import { ask } from "./api.js";
import { byId, el, keyed, setText } from "./dom.js";
import { money, percent, plain, price, quantity, stretch } from "./format.js";
import { said as words, side } from "./words.js";

const SAID_MS = 20000; // how long an answer's fate stays on the page

const NAMES = [
  ["size", "Size"],
  ["risk", "At risk"],
  ["entry", "Price"],
  ["stop", "Stop"],
  ["target", "Target"],
  ["liquidation", "Liquidation"],
  ["score", "Score"],
  ["cost", "Costs"],
];

let saidUntil = 0;

export function update(page) {
  const cards = page.approvals ?? [];
  keyed(byId("approvals-body"), cards, (card) => card.id, make, refresh);
  setText(byId("approvals-sum"), cards.length ? `${cards.length} waiting` : "");
  const over = performance.now() > saidUntil;
  if (over) setText(byId("approvals-said"), "");
  byId("approvals").hidden = !cards.length && over;
}

function make(card) {
  const values = {
    size: `${quantity(card.quantity)} (${money(card.notional)}, ${plain(card.leverage, 0)}×)`,
    risk: money(card.risk_usd),
    entry: price(card.price),
    stop: price(card.stop),
    target: card.target === null ? "–" : `${price(card.target)} (${plain(card.reward_to_risk, 2)} R)`,
    liquidation: card.liquidation_price === null ? "none" : `${price(card.liquidation_price)} (${percent(card.liquidation_frac)} away)`,
    score: `${plain(card.score)}, tier ${card.tier}`,
    cost: `${money(card.fees_usd)} fees, ${money(card.council_usd)} asking`,
  };
  const name = `${side(card.side)} ${card.symbol}`;
  return el(
    "li",
    { class: "approval" },
    el(
      "div",
      { class: "who" },
      el("span", { class: "name" }, card.symbol),
      el("span", { class: `side ${side(card.side)}` }, side(card.side)),
      el("span", { class: "strategy" }, `${card.strategy}: ${card.why}`),
    ),
    el("p", { class: "left num" }),
    el("dl", { class: "figures" }, NAMES.map(([key, title]) => el("div", {}, el("dt", {}, title), el("dd", { class: "num" }, values[key])))),
    el("ul", { class: "votes" }, card.voices.map(voice)),
    el("p", { class: "note" }, "The size is a preview. A yes lets the desk look again at the price and every gate; it may still refuse."),
    el(
      "div",
      { class: "answers" },
      el("button", { type: "button", class: "yes", "aria-label": `Approve ${name}`, onclick: (event) => send(event, card, "approve") }, "Approve"),
      el("button", { type: "button", class: "no", "aria-label": `Reject ${name}`, onclick: (event) => send(event, card, "reject") }, "Reject"),
    ),
  );
}

function voice({ seat, said, confidence, detail }) {
  const sure = confidence === null ? "" : ` ${percent(confidence, 0)}`;
  return el("li", {}, `${seat}: ${words(said)}${sure}${detail ? ` (${detail})` : ""}`);
}

function refresh(node, card) {
  setText(node.querySelector(".left"), `${stretch(card.expires_in_s * 1000)} left`);
}

/** Send a word, once; what became of it is said where a reader hears it. */
async function send(event, card, word) {
  const buttons = event.currentTarget.parentElement.querySelectorAll("button");
  for (const button of buttons) button.disabled = true;
  const what = `${side(card.side)} ${card.symbol}`;
  try {
    await ask(`/control/${word}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ id: card.id, by: "page" }),
    });
    tell(word === "approve" ? `Approved: ${what}. The desk looks again; the decision says how it ended.` : `Rejected: ${what}.`);
  } catch (error) {
    const away = error instanceof TypeError; // it never arrived, or its answer did not
    if (away) for (const button of buttons) button.disabled = false;
    tell(`${what}: ${away ? "Keel does not answer; it may have heard" : error.message}.`);
  }
}

function tell(text) {
  saidUntil = performance.now() + SAID_MS;
  setText(byId("approvals-said"), text);
  byId("approvals").hidden = false;
}
