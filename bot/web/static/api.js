// Asking the daemon: one way for all questions, with the token where it is needed.

import { byId } from "./dom.js";

const KEY = "keel-token";
let token = read();
let asking = null;

function read() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

function keep(value) {
  token = value;
  try {
    sessionStorage.setItem(KEY, value);
  } catch {
    // storage can be forbidden; the token then lasts as long as the page
  }
}

/** Ask a route. Raises Error with the daemon's own words when it refuses. */
export async function ask(path, options = {}) {
  for (;;) {
    const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
    const answer = await fetch(path, { ...options, headers, cache: "no-store" });
    if (answer.status === 401) {
      await askForToken(token !== "");
      continue;
    }
    if (!answer.ok) throw new Error(await wordsOf(answer));
    return answer;
  }
}

/** Whether routes need a token here: a plain link to one would be refused. */
export const withToken = () => token !== "";

/** The JSON of a route; that of a database that is away is an older answer, and is noted. */
export async function json(path) {
  const body = await (await ask(path)).json();
  const route = path.split("?")[0];
  if (body.stale) old.set(route, body.stale_since_at);
  else old.delete(route);
  return body;
}

const old = new Map();

/** From when the oldest answer is that is shown although a newer one was asked for; or null. */
export const staleSince = () => (old.size ? [...old.values()].sort()[0] : null);

async function wordsOf(answer) {
  try {
    return (await answer.json()).error.message;
  } catch {
    return `the answer was ${answer.status}`;
  }
}

/** Ask the person once, however many questions wait for it. */
function askForToken(wrong) {
  asking ??= new Promise((resolve) => {
    const dialog = byId("ask-token");
    byId("token-wrong").hidden = !wrong;
    byId("token").value = "";
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.querySelector("form").onsubmit = () => {
      keep(byId("token").value.trim());
      asking = null;
      resolve();
    };
    dialog.showModal();
  });
  return asking;
}
