// Shows the sections that the server sends, says so when they stop coming, and sends commands. The server has escaped
// all text in the sections, and the page's Content-Security-Policy permits no script but this file.
"use strict";

const SILENCE_MS = 25000; // the server sends a message at least every 10 seconds
const RETRY_MS = 5000;
const ANSWER_MS = 8000;
const KEY = "coldframe-token";

const element = (id) => document.getElementById(id);
let heardAt = Date.now();
let source = null;
let answerTimer = null;

function connect() {
  if (source) source.close();
  source = new EventSource("events");
  source.addEventListener("sections", (message) => {
    heardAt = Date.now();
    element("stale").hidden = true;
    for (const [id, html] of Object.entries(JSON.parse(message.data))) show(id, html);
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
  const isStale = Date.now() - heardAt > SILENCE_MS;
  if (isStale && element("stale").hidden) {
    const clock = new Date(heardAt).toTimeString().slice(0, 8);
    element("stale").querySelector("span").textContent = `No connection to coldframe serve since ${clock}. This page is not current.`;
    element("stale").hidden = false;
  }
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
  const token = field.value.trim();
  field.value = "";
  if (!isGiven || !token) return false;
  localStorage.setItem(KEY, token);
  element("forget").hidden = false;
  return true;
}

async function command(button) {
  // Kept now, because the night may go on while the user decides.
  const { do: request, step, night, question } = button.dataset;
  if (question) {
    element("question").querySelector("p").textContent = question;
    if (!(await ask(element("question")))) return;
  }
  if (!localStorage.getItem(KEY) && !(await askToken())) return;
  const body = JSON.stringify({ do: request, night, ...(step ? { step: Number(step) } : {}) });
  try {
    const token = localStorage.getItem(KEY).replace(/[^\x21-\x7e]/g, ""); // a header may not contain every character
    const headers = { "Content-Type": "application/json", Authorization: `Bearer ${token}` };
    const reply = await fetch("command", { method: "POST", headers, body });
    if (reply.status === 401) forget();
    answer(await reply.text());
  } catch {
    answer("The command was not sent: no connection to coldframe serve");
  }
}

function forget() {
  localStorage.removeItem(KEY);
  element("forget").hidden = true;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button && button.dataset.do) command(button);
  if (button && button.id === "forget") forget();
});
document.addEventListener("visibilitychange", () => {
  // A phone that slept may hold a connection that is long dead.
  if (!document.hidden && Date.now() - heardAt > SILENCE_MS) connect();
});
element("forget").hidden = !localStorage.getItem(KEY);
theme(document);
setInterval(checkConnection, 1000);
connect();
