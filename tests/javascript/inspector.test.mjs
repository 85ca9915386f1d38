/** The way to the kernel: what can be told without a page. */

import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { test } from "node:test";

import {
  appUrl, canSendHeader, fromBase64, Inspector, InspectorError, lossText, toBase64,
} from "../../jupyter_flaskserve/widgets/shared/inspector.js";

const ORIGIN = "http://127.0.0.1:8888";
const ADDRESS = "/user/ann/flaskserve/demo/";

test("what came in the place of an answer is told with what to do", () => {
  assert.match(lossText(0, "", "demo"), /^Jupyter Server does not answer\./);
  assert.match(lossText(403, "", "demo"), /Log in again/);
  assert.match(lossText(401, "", "demo"), /Log in again/);
  assert.equal(
    lossText(503, "kernel-stopped", "demo"),
    "The kernel has ended. Run the cell with %flaskserve app again; this panel goes on by itself.",
  );
  assert.match(lossText(502, "kernel-lost", "demo"), /^The kernel has ended\./);
  assert.match(lossText(404, "not-found", "demo"), /^demo is not served any more\./);
});

test("a kernel that is only busy is not lost", () => {
  assert.equal(lossText(503, "queue-full", "demo"), "");
  assert.equal(lossText(500, "failed", "demo"), "");
});

test("paths stay under the app's address", () => {
  assert.equal(appUrl(ADDRESS, "/users/7?page=2", ORIGIN), `${ORIGIN}${ADDRESS}users/7?page=2`);
  assert.equal(appUrl(ADDRESS, "", ORIGIN), `${ORIGIN}${ADDRESS}`);
  assert.equal(appUrl(ADDRESS, "//example.org/", ORIGIN), `${ORIGIN}${ADDRESS}/example.org/`);
  assert.equal(appUrl(ADDRESS, "/../other/", ORIGIN), null);
  assert.equal(appUrl(ADDRESS, "/../../../api/contents", ORIGIN), null);
  assert.equal(appUrl(ADDRESS, "/%2e%2e/other/", ORIGIN), null);
  assert.equal(appUrl(ADDRESS, "/a/../b", ORIGIN), `${ORIGIN}${ADDRESS}b`);
});

test("headers that browsers set themselves are known", () => {
  for (const name of ["Cookie", "host", "Sec-Fetch-Site", "Proxy-Authorization", "Content-Length", "Origin", "Referer"]) {
    assert.equal(canSendHeader(name), false, name);
  }
  for (const name of ["Authorization", "Content-Type", "X-Cookie", "Accept"]) {
    assert.equal(canSendHeader(name), true, name);
  }
});

test("bytes survive the way in JSON, also many", () => {
  const bytes = Uint8Array.from({ length: 100_000 }, (_, at) => at % 256);
  assert.deepEqual(fromBase64(toBase64(bytes)), bytes);
  assert.equal(toBase64(new Uint8Array()), "");
});

// An inspector with a page and a kernel that are only as much as it needs.

class Model {
  constructor(traits = {}) {
    this.traits = {
      mount: "demo", inspector: "/inspector/demo/", address: "/flaskserve/demo/", other_origin: false, ...traits,
    };
    this.sent = [];
    this.callbacks = new Set();
  }
  get(name) { return this.traits[name]; }
  on(name, callback) { this.callbacks.add(callback); }
  off(name, callback) { this.callbacks.delete(callback); }
  send(message) {
    this.sent.push(message);
    this.answer?.(message);
  }
  receive(message, buffers = []) { for (const callback of [...this.callbacks]) callback(message, buffers); }
}

globalThis.crypto ??= webcrypto; // before Node.js 19

// An inspector looks for news until it is closed. That keeps no test file from ending.
const { setTimeout: startTimer } = globalThis;
globalThis.setTimeout = (callback, delay) => {
  const timer = startTimer(callback, delay);
  return delay < 1000 ? timer : timer.unref();
};

function page({ fetch } = {}) {
  globalThis.document = { visibilityState: "visible", addEventListener() {}, removeEventListener() {} };
  globalThis.location = { origin: ORIGIN };
  globalThis.fetch = fetch ?? (() => Promise.reject(new TypeError("no network")));
}

function ours(json, status = 200) {
  return new Response(JSON.stringify(json), { status, headers: { "Flaskserve-Inspector": "demo" } });
}

const soon = () => new Promise((resolve) => setTimeout(resolve, 20));

test("it asks over HTTP and gives JSON", async () => {
  const calls = [];
  page({
    fetch: async (url, options) => {
      calls.push([options.method, url, options.body]);
      return ours({ text: "curl" });
    },
  });
  const inspector = new Inspector(new Model(), {});
  assert.deepEqual(await inspector.get("exchanges/7/copy", { as: "curl", reveal: 0, none: null }), { text: "curl" });
  assert.deepEqual(await inspector.post("rows", { after: 3 }), { text: "curl" });
  assert.deepEqual(calls, [
    ["GET", "/inspector/demo/exchanges/7/copy?as=curl&reveal=0", null],
    ["POST", "/inspector/demo/rows", '{"after":3}'],
  ]);
  inspector.close();
});

test("what the inspector refuses is an error with its words, and no lost connection", async () => {
  page({ fetch: async () => ours({ error: "not-found", message: "There is no exchange 7." }, 404) });
  const inspector = new Inspector(new Model(), {});
  await assert.rejects(inspector.get("exchanges/7"), (error) => {
    assert.ok(error instanceof InspectorError);
    assert.equal(error.status, 404);
    assert.equal(error.message, "There is no exchange 7.");
    return true;
  });
  assert.equal(inspector.connection, "connected");
  inspector.close();
});

test("bytes come with how many there are", async () => {
  page({
    fetch: async () => new Response("abc", { headers: { "Flaskserve-Inspector": "demo", "Flaskserve-Total": "10" } }),
  });
  const inspector = new Inspector(new Model(), {});
  assert.deepEqual(await inspector.bytes("exchanges/7/response-body", { offset: 0 }), {
    bytes: new TextEncoder().encode("abc"), total: 10,
  });
  inspector.close();
});

test("a kernel that has ended is told, and that it is there again", async () => {
  let answer = () => ours({ generation: "one" });
  page({ fetch: async () => answer() });
  const inspector = new Inspector(new Model(), {});
  const told = [];
  inspector.onConnection(() => told.push([inspector.connection, inspector.lostText]));
  await inspector.get("routes");
  answer = () => new Response('{"error": "kernel-stopped", "message": "…"}', { status: 503 });
  await assert.rejects(inspector.get("routes"), /The kernel has ended/);
  await assert.rejects(inspector.get("routes"), /The kernel has ended/);
  answer = () => ours({ generation: "two" });
  await inspector.get("routes");
  assert.deepEqual(told, [["lost", lossText(503, "kernel-stopped", "demo")], ["connected", ""]]);
  inspector.close();
});

test("where another server answers, it asks the kernel by messages", async () => {
  page({ fetch: async () => new Response("<h1>Not here</h1>", { status: 404 }) });
  const model = new Model();
  model.answer = ({ id, path }) => model.receive(
    { kind: "answer", id, status: 200, headers: { "Flaskserve-Inspector": "demo" } },
    [new DataView(new TextEncoder().encode(JSON.stringify({ path })).buffer)],
  );
  const inspector = new Inspector(model, {});
  assert.deepEqual(await inspector.get("routes"), { path: "routes" });
  assert.deepEqual(await inspector.get("state"), { path: "state" });
  assert.equal(model.sent.length, 2);
  inspector.close();
});

test("where HTTP does not get there from the start, nothing is fetched", async () => {
  page({ fetch: () => assert.fail("it was fetched") });
  const model = new Model({ other_origin: true });
  const inspector = new Inspector(model, {});
  const asked = inspector.get("state");
  model.receive({ kind: "answer", id: "of another tab", status: 200, headers: {} });
  model.receive({ kind: "answer", id: model.sent[0].id, status: 404, headers: {} });
  await assert.rejects(asked, /is not served any more/);
  assert.equal(inspector.connection, "lost");
  inspector.close();
});

test("a login that is lost is not looked for by messages", async () => {
  page({ fetch: async () => new Response("", { status: 403 }) });
  const model = new Model();
  const inspector = new Inspector(model, {});
  await assert.rejects(inspector.get("state"), /Log in again/);
  assert.deepEqual(model.sent, []);
  assert.equal(inspector.connection, "lost");
  inspector.close();
});

test("news are told at once, and while a callback runs only once more", async () => {
  page();
  const model = new Model();
  const inspector = new Inspector(model, {});
  const told = [];
  let release;
  inspector.onNews((news) => {
    told.push(news?.last ?? null);
    return new Promise((resolve) => { release = resolve; });
  });
  for (const last of [1, 2, 3]) model.receive({ kind: "news", last, revision: 1, generation: "one", stopped: false });
  assert.deepEqual(told, [null]);
  release();
  await soon();
  assert.deepEqual(told, [null, 3]);
  release();
  await soon();
  assert.deepEqual(told, [null, 3]);
  inspector.close();
});

test("news wait while nobody can see the panel", async () => {
  page();
  let look;
  globalThis.document.addEventListener = (name, callback) => { look = callback; };
  globalThis.document.visibilityState = "hidden";
  const model = new Model();
  const inspector = new Inspector(model, {});
  const told = [];
  inspector.onNews((news) => told.push(news.last));
  model.receive({ kind: "news", last: 7, revision: 1, generation: "one", stopped: false });
  await soon();
  assert.deepEqual(told, []);
  globalThis.document.visibilityState = "visible";
  look();
  assert.deepEqual(told, [7]);
  inspector.close();
});

test("a request to the app carries its tag, and comes with what it caused", async () => {
  const sent = [];
  page({
    fetch: async (url, options) => {
      if (String(url).startsWith("/inspector/")) {
        const { tag } = JSON.parse(options.body);
        return ours({ rows: [{ n: 1, tag, open: false }] });
      }
      sent.push([url, options.method, options.headers.get("X-Flaskserve-Tag"), options.headers.get("Accept"), options.body]);
      return new Response("hello", { status: 201, statusText: "Created", headers: { "X-A": "b" } });
    },
  });
  const inspector = new Inspector(new Model(), {});
  const answer = await inspector.sendToApp({
    method: "post", target: "/sign?a=1", headers: [["Accept", "text/plain"], ["Cookie", "a=b"]], body: "guest=ann", tag: "t1",
  });
  assert.deepEqual(sent, [[`${ORIGIN}/flaskserve/demo/sign?a=1`, "POST", "t1", "text/plain", "guest=ann"]]);
  assert.equal(answer.status, 201);
  assert.equal(answer.reason, "Created");
  assert.equal(new TextDecoder().decode(answer.bytes), "hello");
  assert.deepEqual(answer.dropped, ["Cookie"]);
  assert.match(answer.note, /^Cookie was not sent as given/);
  assert.deepEqual(answer.rows, [{ n: 1, tag: "t1", open: false }]);
  assert.equal(answer.error, "");
  inspector.close();
});

test("what a browser cannot send is said and not sent", async () => {
  page({ fetch: () => assert.fail("it was sent") });
  const inspector = new Inspector(new Model(), {});
  for (const [request, error] of [
    [{ method: "TRACE", target: "/" }, /do not send TRACE/],
    [{ method: "GET", target: "/../../api" }, /leads out of the app/],
    [{ method: "GET", target: "/", headers: [["a b", "c"]] }, /cannot be sent/],
  ]) {
    const answer = await inspector.sendToApp(request);
    assert.match(answer.error, error);
    assert.deepEqual(answer.rows, []);
  }
  inspector.close();
});

test("a response without end is read up to a limit", async () => {
  page({
    fetch: async (url) => {
      if (String(url).startsWith("/inspector/")) return ours({ rows: [] });
      const chunk = new Uint8Array(1024 * 1024);
      return new Response(new ReadableStream({ pull: (controller) => controller.enqueue(chunk) }));
    },
  });
  const inspector = new Inspector(new Model(), {});
  const answer = await inspector.sendToApp({ method: "GET", target: "/" });
  assert.equal(answer.cut, true);
  assert.equal(answer.bytes.length, 8 * 1024 * 1024);
  inspector.close();
});

test("where the page has another origin the kernel sends the request", async () => {
  page();
  const model = new Model({ other_origin: true });
  const asked = [];
  model.answer = ({ id, path, body }) => {
    const question = JSON.parse(body);
    asked.push([path, question]);
    const answer = path === "rows" ? { rows: [{ n: 1, open: false }] } : {
      status: 200, reason: "OK", headers: [["A", "b"]], body_base64: btoa("hello"), ms: 1, url: "u", note: "",
    };
    model.receive(
      { kind: "answer", id, status: 200, headers: { "Flaskserve-Inspector": "demo" } },
      [new DataView(new TextEncoder().encode(JSON.stringify(answer)).buffer)],
    );
  };
  const inspector = new Inspector(model, {});
  const answer = await inspector.sendToApp({ method: "POST", target: "/", body: "a=1", tag: "t" });
  assert.equal(asked[0][0], "send");
  assert.equal(asked[0][1].body_base64, btoa("a=1"));
  assert.deepEqual(asked[0][1].headers, [["Content-Type", "text/plain;charset=UTF-8"]]);
  assert.equal(new TextDecoder().decode(answer.bytes), "hello");
  assert.equal(answer.rows.length, 1);
  inspector.close();
});
