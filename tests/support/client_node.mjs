// Node's fetch (undici) and WebSocket against BASE; prints one JSON line of all it saw.
import { createHash } from "node:crypto";

const base = process.argv[2];
const hop = new Set(["connection", "keep-alive"]);
const said = [];

const hash = (bytes) => createHash("sha256").update(bytes).digest("hex");

const seen = async (path, options) => {
  const answer = await fetch(base + path, options);
  const headers = [...answer.headers].filter(([name]) => !hop.has(name));
  const body = new Uint8Array(await answer.arrayBuffer());
  return [path, answer.status, answer.statusText, headers, body.length, hash(body)];
};

const pieces = (count, size) =>
  new ReadableStream({
    async start(controller) {
      for (let n = 0; n < count; n++) {
        controller.enqueue(new Uint8Array(size).fill(n));
        if (n % 8 === 0) await new Promise((next) => setTimeout(next, 1));
      }
      controller.close();
    },
  });

const events = async () => {
  const answer = await fetch(base + "/sse");
  let text = "";
  const decoder = new TextDecoder();
  for await (const piece of answer.body) text += decoder.decode(piece, { stream: true });
  return text;
};

const brokenOff = async () => {
  const controller = new AbortController();
  const answer = await fetch(base + "/sse", { signal: controller.signal });
  try {
    for await (const piece of answer.body) controller.abort();
  } catch (error) {
    return error.name;
  }
};

const socket = () =>
  new Promise((done) => {
    const got = [];
    const ws = new WebSocket(base.replace("http", "ws") + "/ws", ["shop"]);
    ws.binaryType = "arraybuffer";
    ws.onopen = () => {
      ws.send("hello " + ws.protocol);
      ws.send(new Uint8Array(100000).fill(7));
    };
    ws.onmessage = (event) => {
      got.push(typeof event.data === "string" ? event.data : hash(new Uint8Array(event.data)));
      if (got.length === 2) ws.close(1000, "enough");
    };
    ws.onerror = (event) => got.push("error " + event.message);
    ws.onclose = (event) => done([...got, event.code]);
  });

for (const path of ["/text", "/gzip", "/chunked", "/empty", "/redirect", "/missing"])
  said.push(await seen(path));
said.push(await seen("/text", { method: "HEAD" }));
said.push(await seen("/text", { headers: { range: "bytes=10-99" } }));
said.push(await seen("/echo", { method: "POST", body: "a=1" }));
said.push(await seen("/echo", { method: "PUT", body: pieces(64, 20000), duplex: "half" }));
said.push(await Promise.all(Array.from({ length: 60 }, (_, n) => seen(n % 2 ? "/text" : "/chunked"))));
said.push(await events(), await brokenOff(), await seen("/text"));
said.push(typeof WebSocket === "undefined" ? null : await socket());
console.log(JSON.stringify(said));
process.exit(0);
