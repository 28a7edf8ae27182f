// Shows the sections that the server sends, reports when they stop arriving, and sends commands. The server has escaped
// all text in the sections, and the page's Content-Security-Policy permits no script but this file.
"use strict";

const SILENCE_MS = 25000; // the server sends a message at least every 10 seconds
const RETRY_MS = 5000;
const RECONNECT_MS = 10000; // longer than a slow network needs to connect
const ANSWER_MS = 8000;
const KEY = "coldframe-token";

const element = (id) => document.getElementById(id);
let heardAt = Date.now();
let triedAt = Date.now();
let source = null;
let answerTimer = null;

function connect() {
  if (source) source.close();
  triedAt = Date.now();
  source = new EventSource("events");
  source.addEventListener("sections", (message) => {
    heardAt = Date.now();
    element("stale").hidden = true;
    for (const [id, html] of Object.entries(JSON.parse(message.data))) show(id, html);
  });
  source.addEventListener("refusal", (message) => {
    source.close();
    warn(JSON.parse(message.data));
    setTimeout(connect, RETRY_MS);
  });
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, RETRY_MS);
  });
}

function show(id, html) {
  const place = element(id);
  if (!place) return;
  const isOpen = place.querySelector("details[open]") !== null;
  place.innerHTML = html;
  const details = place.querySelector("details");
  if (details && isOpen) details.open = true;
  theme(place);
}

function theme(place) {
  for (const link of place.querySelectorAll("a[data-themed]")) link.search = `?theme=${document.documentElement.className}`;
}

function checkConnection() {
  if (Date.now() - heardAt <= SILENCE_MS) return;
  if (element("stale").hidden) {
    // The clock of the rig, like all times on the page.
    const clock = document.querySelector(".clock time")?.textContent ?? "an unknown time";
    warn(`No connection to coldframe serve since ${clock}. This page is not current.`);
  }
  // A dead connection may report no error.
  if (Date.now() - triedAt > RECONNECT_MS) connect();
}

function warn(text) {
  element("stale").querySelector("span").textContent = text;
  element("stale").hidden = false;
}

// A browser that blocks site data throws errors. The token is then remembered only until the page is closed.
let keptToken = null;

function token() {
  try { return localStorage.getItem(KEY) ?? keptToken; } catch { return keptToken; }
}

function keepToken(text) {
  keptToken = text;
  try {
    if (text === null) localStorage.removeItem(KEY); else localStorage.setItem(KEY, text);
  } catch { /* kept only in the page */ }
  element("forget").hidden = text === null;
}

function answer(text) {
  element("answer").textContent = text;
  element("answer").hidden = false;
  clearTimeout(answerTimer);
  answerTimer = setTimeout(() => { element("answer").hidden = true; }, ANSWER_MS);
}

function ask(dialog) {
  return new Promise((resolve) => {
    dialog.returnValue = "no";
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
    dialog.showModal();
  });
}

async function askToken() {
  const field = element("token").querySelector("input");
  field.value = "";
  const isGiven = await ask(element("token"));
  const given = field.value.trim();
  field.value = "";
  if (!isGiven || !given) return false;
  keepToken(given);
  return true;
}

async function command(button) {
  // Read now, because the page may change while the user decides.
  const { do: request, step, night, question } = button.dataset;
  if (question) {
    element("question").querySelector("p").textContent = question;
    if (!(await ask(element("question")))) return;
  }
  if (!token() && !(await askToken())) return;
  const body = JSON.stringify({ do: request, night, ...(step ? { step: Number(step) } : {}) });
  try {
    const sent = token().replace(/[^\x21-\x7e]/g, ""); // a header must not contain other characters
    const headers = { "Content-Type": "application/json", Authorization: `Bearer ${sent}` };
    const reply = await fetch("command", { method: "POST", headers, body });
    if (reply.status === 401) keepToken(null);
    answer(await reply.text());
  } catch {
    answer("The command was not sent: no connection to coldframe serve");
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button && button.dataset.do) command(button);
  if (button && button.id === "forget") keepToken(null);
});
document.addEventListener("visibilitychange", () => {
  // A phone that was asleep may hold a connection that died long ago.
  if (!document.hidden && Date.now() - heardAt > SILENCE_MS) connect();
});
setInterval(checkConnection, 1000);
connect();
element("forget").hidden = !token();
theme(document);
