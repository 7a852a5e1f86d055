// The funnel: what was left after each step, and the largest reason for each drop.

import { json } from "./api.js";
import { byId, el, empty, redraw } from "./dom.js";
import { plain } from "./format.js";
import { LAST_STEP, result, step } from "./words.js";

const LEAST_MS = 5000;
let asked = -Infinity;
let version = null;

export async function update(page) {
  const mark = `${page.cycles} ${page.versions?.decisions} ${page.versions?.trades}`;
  if (mark === version || performance.now() - asked < LEAST_MS) return;
  asked = performance.now();
  try {
    const found = await json("/traces/funnel");
    version = found.stale ? null : mark;
    show(found);
  } catch (error) {
    redraw(byId("funnel-body"), `error ${error.message}`, () => empty(`The funnel could not be read: ${error.message}.`));
  }
}

function show({ steps, ended }) {
  const place = byId("funnel-body");
  if (!steps.length || !steps[0].count) {
    redraw(place, "empty", () => empty("No candle has been decided on yet. The steps fill from the first cycle on."));
    return;
  }
  redraw(place, JSON.stringify([steps, ended]), () =>
    el("ol", { class: "funnel" }, steps.map((one, i) => row(one, steps[i - 1], steps[0].count, drops(one, ended)))),
  );
}

/** Reasons for which roads ended at this step, largest first. */
function drops({ step: name }, ended) {
  return ended.filter((row) => LAST_STEP[row.stage] === name).slice(0, 2);
}

function row({ step: name, count }, before, first, reasons) {
  const share = before?.count ? `${plain((100 * count) / before.count, 1)} % of the step before` : "";
  // By the logarithm: the first step is a thousand times the last, and both must be seen.
  const width = count ? Math.max(2, (100 * Math.log1p(count)) / Math.log1p(first)) : 0;
  return el(
    "li",
    {},
    el("span", { class: "step" }, step(name)),
    el("span", { class: "num count", title: share }, plain(count, 0)),
    el("progress", { max: 100, value: width, "aria-label": `${step(name)}: ${count}. ${share}` }),
    reasons.length ? el("small", {}, `Ended here: ${reasons.map((r) => `${lower(result(r.result))} ${plain(r.count, 0)}`).join(", ")}`) : null,
  );
}

const lower = (text) => text.charAt(0).toLowerCase() + text.slice(1);
