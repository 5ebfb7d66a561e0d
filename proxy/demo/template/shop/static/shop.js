"use strict";

// Brings the served page to life, and reports what breaks while doing so.

const DISPATCH_UNTIL_HOUR = 15;

function dispatchLine(now) {
  const day = now.getHours() < DISPATCH_UNTIL_HOUR ? "today" : "tomorrow";
  return `It is past ${now.getHours()} o'clock: order now and we dispatch ${day}.`;
}

function hydrate(id, text) {
  const element = document.getElementById(id);
  if (element && element.textContent !== text) {
    const error = new Error(
      "Hydration failed because the server rendered text didn't match the client.",
    );
    error.extra = { server: element.textContent, client: text };
    throw error;
  }
}

function renderBasket(basket) {
  const list = document.getElementById("lines");
  for (let i = 0; i < basket.lines.length; i += 1) {
    const item = document.createElement("li");
    item.textContent = `${basket.lines[i].quantity} × ${basket.lines[i].slug}`;
    list.append(item);
  }
}

async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  return fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
}

async function start() {
  hydrate("dispatch", dispatchLine(new Date()));
  if (document.getElementById("lines")) {
    renderBasket(await (await fetch("/api/basket")).json());
  }
  const article = document.querySelector("article[data-slug]");
  document.getElementById("add")?.addEventListener("click", () =>
    post("/api/basket", { slug: article.dataset.slug }),
  );
  document.getElementById("newsletter")?.addEventListener("submit", (event) => {
    event.preventDefault();
    post("/api/newsletter", { email: event.target.email.value });
  });
}

// An error as an event of the Sentry protocol, without the weight of the whole SDK.
function report(error) {
  const id = crypto.randomUUID().replaceAll("-", "");
  const frames = [...(error.stack || "").matchAll(/at (?:async )?(\S+) \((.+?):(\d+):(\d+)\)/g)]
    .map(([, name, file, line, column]) => ({
      function: name, filename: file, lineno: Number(line), colno: Number(column), in_app: true,
    }))
    .reverse();
  const event = {
    event_id: id,
    timestamp: Date.now() / 1000,
    platform: "javascript",
    level: "error",
    request: { url: location.href, headers: { "User-Agent": navigator.userAgent } },
    extra: error.extra || {},
    exception: { values: [{ type: error.name, value: error.message, stacktrace: { frames } }] },
  };
  const payload = JSON.stringify(event);
  const body = `${JSON.stringify({ event_id: id })}\n{"type":"event"}\n${payload}\n`;
  const target = document.querySelector("meta[name=error-reports]").content;
  fetch(`${target}?sentry_version=7&sentry_key=shop`, { method: "POST", body, keepalive: true });
}

start().catch(report);
