// Numbers and times as people read them. Money comes as text and is only rounded here, to be shown.

import { el } from "./dom.js";

const LOCALE = undefined; // the browser's
const cache = new Map();

function numbers(least, most) {
  const key = `${least}/${most}`;
  if (!cache.has(key)) {
    cache.set(key, new Intl.NumberFormat(LOCALE, { minimumFractionDigits: least, maximumFractionDigits: most }));
  }
  return cache.get(key);
}

const missing = (value) => value === null || value === undefined || value === "" || !Number.isFinite(Number(value));

/** Dollars with cents; `signed` shows the plus too. */
export function money(value, signed = false) {
  if (missing(value)) return "–";
  const number = Number(value);
  const rounded = Math.round(Math.abs(number) * 100) / 100;
  const sign = rounded === 0 ? "" : number < 0 ? "−" : signed ? "+" : "";
  return `${sign}$${numbers(2, 2).format(rounded)}`;
}

/** Money beside a grid: without cents, unless one of the `steps` has some. */
export function moneyOf(steps) {
  const whole = steps.every((value) => Math.abs(value - Math.round(value)) < 0.005);
  return (value) => (whole ? money(value).replace(/[.,]\d\d$/, "") : money(value));
}

/** A price with about six digits that count. */
export function price(value) {
  if (missing(value)) return "–";
  const number = Number(value);
  const whole = Math.max(0, Math.floor(Math.log10(Math.abs(number) || 1)) + 1);
  const digits = number >= 1 ? Math.max(0, 6 - whole) : 6;
  return numbers(Math.min(2, digits), Math.min(digits, 8)).format(number);
}

export const quantity = (value) => (missing(value) ? "–" : numbers(0, 6).format(Number(value)));

export const plain = (value, digits = 1) => (missing(value) ? "–" : numbers(0, digits).format(Number(value)).replace("-", "−"));

/** A fraction as percent. */
export const percent = (fraction, digits = 1) =>
  missing(fraction) ? "–" : `${numbers(digits, digits).format(Number(fraction) * 100).replace("-", "−")}\u00a0%`;

/** gain, loss or nothing: the class of a signed figure. */
export function tone(value) {
  const number = Math.round(Number(value) * 100);
  return number > 0 ? "gain" : number < 0 ? "loss" : "";
}

// --- times: shown in the browser's zone, in UTC on hover --------------------------------

const clockForm = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const secondsForm = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const dayForm = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "short" });
const weekdayForm = new Intl.DateTimeFormat(LOCALE, { weekday: "short", day: "numeric", month: "short" });

export const clock = (at) => clockForm.format(new Date(at));
export const seconds = (at) => secondsForm.format(new Date(at));
export const day = (at) => dayForm.format(new Date(at));
export const dayAndClock = (at) => `${dayForm.format(new Date(at))}, ${clock(at)}`;
export const weekdayAndSeconds = (at) => `${weekdayForm.format(new Date(at))}, ${seconds(at)}`;
export const utc = (at) => `${new Date(at).toISOString().slice(0, 19).replace("T", " ")} UTC`;

/** A <time> element: `form` of the zone here, UTC as its title. */
export const time = (at, form = dayAndClock) =>
  el("time", { datetime: new Date(at).toISOString(), title: utc(at) }, form(at));

/** A stretch of time in its two largest units. */
export function stretch(ms) {
  const minutes = Math.floor(Math.max(0, ms) / 60000);
  if (minutes < 1) return `${Math.floor(Math.max(0, ms) / 1000)} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}
