// The end of the log: asked for only while it is open, newest first, by level.

import { json } from "./api.js";
import { byId, choices, el, empty, keyed, redraw, setText } from "./dom.js";
import { seconds, time } from "./format.js";
import { said } from "./words.js";

const LIMIT = 200;
const REFRESH_MS = 3000;
const LEVELS = [["info", "All"], ["warning", "Warnings"], ["error", "Errors"]];

let level = "info";
let asked = -Infinity;
let busy = false;

export function start() {
  byId("log-fold").addEventListener("toggle", () => {
    asked = -Infinity;
    update();
  });
}

export async function update() {
  choices(byId("log-level"), LEVELS, level, (value) => {
    level = value;
    asked = -Infinity;
    update();
  });
  if (!byId("log-fold").open || busy || performance.now() - asked < REFRESH_MS) return;
  busy = true;
  asked = performance.now();
  const wanted = level;
  try {
    const { lines, note } = await json(`/logs?limit=${LIMIT}&level=${wanted}`);
    if (wanted === level) show(lines, note);
  } catch (error) {
    redraw(byId("log-body"), `error ${error.message}`, () => empty(`The log could not be read: ${error.message}.`));
  } finally {
    busy = false;
  }
}

function show(lines, note) {
  const place = byId("log-body");
  setText(byId("log-note"), note);
  if (!lines.length) {
    redraw(place, `empty ${level}`, () => empty(level === "info" ? "Nothing has been written yet." : "None of the last lines is of this level."));
    return;
  }
  redraw(place, "list", () => el("ol", { class: "log" }));
  keyed(place.firstElementChild, lines, (line) => line.id, row);
}

function row({ timestamp, level: kind, event, figures }) {
  return el(
    "li",
    { class: kind },
    timestamp ? time(timestamp, seconds) : el("span", {}),
    el("span", { class: "level" }, kind),
    el("span", { class: "what" }, el("b", {}, said(event)), figures ? ` ${figures}` : ""),
  );
}
