// The stream of pushes: read by fetch (an EventSource could carry no token), reopened with
// growing pauses, and watched: silence is told, never hidden.

import { ask } from "./api.js";

const SILENT_MS = 5000;
const FIRST_WAIT_MS = 1000;
const LAST_WAIT_MS = 8000;
const LOOK_MS = 500;

/**
 * Open the stream and keep it open. `onPush(page)` for each push; `onState(state)` twice a second
 * with {fresh, silentMs, retryMs, why}.
 */
export function follow(onPush, onState) {
  let heard = performance.now();
  let ever = false;
  let retryAt = 0;
  let why = "";
  let reader = null;
  let opened = heard;

  function push(page) {
    heard = performance.now();
    ever = true;
    why = "";
    try {
      onPush(page);
    } catch (error) {
      reportError(error); // a fault of drawing is told as what it is, and ends no connection
    }
    look();
  }

  async function once() {
    const giveUp = new AbortController();
    reader = giveUp;
    opened = performance.now();
    const answer = await ask("/events", { signal: giveUp.signal });
    for await (const { event, data } of events(answer.body)) {
      if (event === "bye") throw new Error("Keel has stopped");
      if (event === "page") push(JSON.parse(data));
    }
    throw new Error("the stream has ended");
  }

  async function forever() {
    let wait = FIRST_WAIT_MS;
    for (;;) {
      const before = heard;
      try {
        await once();
      } catch (error) {
        why = error instanceof TypeError ? "Keel does not answer" : error.message;
      }
      wait = heard > before ? FIRST_WAIT_MS : Math.min(wait * 2, LAST_WAIT_MS);
      retryAt = performance.now() + wait;
      await pause(wait);
      retryAt = 0;
    }
  }

  function look() {
    const now = performance.now();
    const silentMs = now - heard;
    const broken = retryAt > 0;
    // An open line that says nothing for long is dead: a laptop that slept, a cut cable.
    if (!broken && now - Math.max(heard, opened) > 2 * SILENT_MS) reader?.abort(new Error("nothing came for 10 s"));
    onState({ fresh: ever && silentMs <= SILENT_MS, ever, silentMs, retryMs: broken ? retryAt - now : 0, why });
  }

  setInterval(look, LOOK_MS);
  forever();
}

/** Wait, but not when the person comes back to the page or the network does. */
function pause(ms) {
  return new Promise((resolve) => {
    const leave = new AbortController();
    const done = () => {
      clearTimeout(timer);
      leave.abort();
      resolve();
    };
    const timer = setTimeout(done, ms);
    addEventListener("online", done, { signal: leave.signal });
    document.addEventListener("visibilitychange", () => document.hidden || done(), { signal: leave.signal });
  });
}

/** Server-sent events of a body, one after the other. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value;
    let end;
    while ((end = rest.indexOf("\n\n")) >= 0) {
      yield parsed(rest.slice(0, end));
      rest = rest.slice(end + 2);
    }
  }
}

function parsed(block) {
  const found = { event: "message", data: "" };
  for (const line of block.split("\n")) {
    const [name, ...words] = line.split(": ");
    if (name === "event") found.event = words.join(": ");
    if (name === "data") found.data += words.join(": ");
  }
  return found;
}
