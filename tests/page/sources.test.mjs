import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

const PAGE = new URL("../../mqtt_bridge/web/page/", import.meta.url);
const { findSource } = await import(new URL("sources.js", PAGE));

const define = (name, value) =>
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
const settle = () => new Promise((done) => setImmediate(done));

let requests; // what waits for an answer: `answer(body, status)` gives it
let shown; // the printers that the page shows
let connected;

/** Answer requests by hand, and let nobody wait longer than a moment to try again. */
beforeEach(() => {
  requests = [];
  define("fetch", (address) => {
    if (address === "page.json") return Promise.resolve(reply({}));
    return new Promise((done) => {
      requests.push({ answer: (body, status) => done(reply(body, status)) });
    });
  });
  define("setTimeout", (call) => setImmediate(call));
  define("location", { pathname: "/server/upkeep/", href: "http://printer/server/upkeep/" });
  define("localStorage", { getItem: () => null });
});

function reply(body, status = 200) {
  const headers = new Map([["Content-Type", "application/json"]]);
  return { headers, status, ok: status === 200, json: async () => body };
}

async function answerNext(body, status) {
  while (!requests.length) await settle();
  requests.shift().answer(body, status);
  await settle();
  await settle();
}

async function follow(source, first) {
  const started = source.start((printers, isConnected) => {
    shown = printers;
    connected = isConnected;
  });
  await answerNext(first);
  await started;
}

/** Open a fleet's page. Returns the stream of its changes, which the test fills. */
async function fleet(first) {
  let stream;
  define("EventSource", function () {
    stream = this;
    this.send = (changed) => this.onmessage({ data: JSON.stringify({ changed, gone: [] }) });
  });
  const fetch = globalThis.fetch;
  define("fetch", async (address) =>
    address === "page.json" ? reply({ source: "bridge" }) : fetch(address),
  );
  await follow(await findSource(), { printers: [first] });
  stream.onopen();
  return stream;
}

/** Open a printer's page. Returns its socket, through which the test sends. */
async function printer(first) {
  let socket;
  define("WebSocket", function () {
    socket = this;
    this.send = (method, ...params) => this.onmessage({ data: JSON.stringify({ method, params }) });
  });
  await follow(await findSource(), first);
  await settle();
  socket.onopen();
  return socket;
}

test("a change that overtakes an older answer is not lost", async () => {
  const stream = await fleet({ slug: "voron", due: 1 });
  stream.send([{ slug: "voron", due: 2 }]);
  assert.deepEqual(shown, [{ slug: "voron", due: 2 }]);
  await answerNext({ printers: [{ slug: "voron", due: 1 }] });
  assert.deepEqual(shown, [{ slug: "voron", due: 2 }]);
});

test("a change stays when the answer is an error, and all is read again", async () => {
  const stream = await fleet({ slug: "voron", due: 1 });
  stream.send([{ slug: "voron", due: 2 }]);
  await answerNext({ error: "The bridge is busy." }, 503);
  assert.deepEqual(shown, [{ slug: "voron", due: 2 }]);
  await answerNext({ printers: [{ slug: "voron", due: 3 }] });
  assert.deepEqual(shown, [{ slug: "voron", due: 3 }]);
  assert.equal(connected, true);
});

test("of two notifications the answer to the last one is shown", async () => {
  const socket = await printer({ name: "one", ready: true, tasks: [] });
  socket.send("notify_upkeep_changed", { settled: true, tasks: {} });
  await answerNext({ name: "old", ready: true, tasks: [] });
  await answerNext({ name: "new", ready: true, tasks: [] });
  assert.equal(shown[0].name, "new");
  assert.deepEqual(requests, []);
});

test("a printer's page reads again after an error", async () => {
  await printer({ name: "one", ready: true, tasks: [] });
  await answerNext({ error: "Klippy is not connected." }, 503);
  await answerNext({ name: "two", ready: true, tasks: [] });
  assert.equal(shown[0].name, "two");
});

test("who has to log in is not asked again and again", async () => {
  await printer({ name: "one", ready: true, tasks: [] });
  await answerNext({}, 401);
  await settle();
  assert.deepEqual(requests, []);
});
