// The requests panel's functions of data: which rows there are, what was missed, filter, and words.

import assert from "node:assert/strict";
import { test } from "node:test";

import { liveText } from "../../jupyter_flaskserve/widgets/requests.js";
import { sparklinePath } from "../../jupyter_flaskserve/widgets/shared/sparkline.js";
import { editorShowsSecrets, rowFacts } from "../../jupyter_flaskserve/widgets/traffic/exchange_pane.js";
import { partsOf, sessionChanges, timeShares } from "../../jupyter_flaskserve/widgets/traffic/exchange_parts.js";
import {
  countText, isFailed, missingText, newsText, passesFilter, readFilter, statusLevel, statusText,
} from "../../jupyter_flaskserve/widgets/traffic/filter.js";
import { RequestLog, countMissed, indexOfNumber } from "../../jupyter_flaskserve/widgets/traffic/log.js";
import { chartText, rateText } from "../../jupyter_flaskserve/widgets/traffic/statistics.js";
import { groupFrames } from "../../jupyter_flaskserve/widgets/traffic/traceback.js";

const row = (n, changes = {}) => ({
  n, method: "GET", path: `/users/${n}`, status: 200, ms: 1, size: 0, at: n, endpoint: "user", kind: "http", open: false, failed: "",
  in: 0, out: 0, tag: null, ...changes,
});

const rows = (first, last) => Array.from({ length: last - first + 1 }, (_, index) => row(first + index));

/** What a kernel answers that keeps the requests from `first` to `last`, asked from `after` on. */
const answer = (first, last, { after = 0, ...more } = {}) => ({
  generation: "one", revision: 1, stopped: false, first, last, cleared: 0, rows: rows(Math.max(first, after + 1), last), ...more,
});

const numbers = (log) => log.rows.map(({ n }) => n);

// Rows

test("the first question asks for all, the next for what is new", () => {
  const log = new RequestLog();
  assert.deepEqual(log.question, { generation: null, after: 0, open: [] });
  log.take(answer(1, 3));
  assert.deepEqual(log.question, { generation: "one", after: 3, open: [] });
  const { added } = log.take(answer(1, 5, { after: 3 }));
  assert.deepEqual(added.map(({ n }) => n), [4, 5]);
  assert.deepEqual(numbers(log), [1, 2, 3, 4, 5]);
});

test("requests that are open are asked for again, and replaced where they stand", () => {
  const log = new RequestLog();
  log.take(answer(1, 3, { rows: [row(1), row(2, { open: true, ms: null }), row(3)] }));
  assert.deepEqual(log.question.open, [2]);
  const { added, changed } = log.take(answer(1, 3, { rows: [row(2, { ms: 80 })] }));
  assert.deepEqual(added, []);
  assert.deepEqual(changed.map(({ n }) => n), [2]);
  assert.deepEqual(numbers(log), [1, 2, 3]);
  assert.equal(log.row(2).ms, 80);
  assert.deepEqual(log.question.open, []);
});

test("an answer that says nothing new changes nothing", () => {
  const log = new RequestLog();
  log.take(answer(1, 2, { rows: [row(1), row(2, { open: true })] }));
  const { isChanged, changed } = log.take(answer(1, 2, { rows: [row(2, { open: true })] }));
  assert.equal(isChanged, false);
  assert.deepEqual(changed, []);
});

test("what the kernel lets go is let go, and counted as gone but not as missed", () => {
  const log = new RequestLog();
  log.take(answer(1, 1000));
  const { isChanged } = log.take(answer(11, 1010, { after: 1000 }));
  assert.ok(isChanged);
  assert.equal(log.rows.length, 1000);
  assert.equal(log.rows[0].n, 11);
  assert.deepEqual([log.gone, log.missed], [10, 0]);
});

test("what came and went between two answers is counted as missed", () => {
  const log = new RequestLog();
  log.take(answer(1, 1000));
  log.take(answer(1341, 2340, { after: 1000 }));
  assert.equal(log.missed, 340);
  log.take(answer(2351, 3350, { after: 2340 }));
  assert.equal(log.missed, 350);
  assert.equal(log.gone, 2350);
  assert.equal(log.rows.length, 1000);
});

test("a panel that is opened late has missed nothing, but says what is gone", () => {
  const log = new RequestLog();
  log.take(answer(501, 1500));
  assert.deepEqual([log.gone, log.missed], [500, 0]);
});

test("what a person has cleared is gone without being missed", () => {
  const log = new RequestLog();
  log.take(answer(1, 10));
  log.take(answer(16, 17, { cleared: 15, after: 10 }));
  assert.deepEqual(numbers(log), [16, 17]);
  assert.deepEqual([log.gone, log.missed], [0, 0]);
  log.take(answer(18, 17, { cleared: 17, rows: [] }));
  assert.deepEqual(numbers(log), []);
  assert.deepEqual(log.question, { generation: "one", after: 17, open: [] });
});

test("only what came after clearing can be missed", () => {
  assert.equal(countMissed(10, 31, 20), 10);
  assert.equal(countMissed(10, 11, 0), 0);
  assert.equal(countMissed(10, 5, 0), 0);
  assert.equal(countMissed(30, 31, 20), 0);
});

test("after a restart of the kernel the list begins anew", () => {
  const log = new RequestLog();
  log.take(answer(1, 50));
  const { isRestarted, added } = log.take(answer(1, 2, { generation: "two" }));
  assert.ok(isRestarted);
  assert.ok(log.isRestarted);
  assert.deepEqual(added.map(({ n }) => n), [1, 2]);
  assert.deepEqual(numbers(log), [1, 2]);
  assert.deepEqual(log.question, { generation: "two", after: 2, open: [] });
  assert.deepEqual([log.gone, log.missed], [0, 0]);
  log.take(answer(3, 2, { generation: "two", cleared: 2, rows: [] }));
  assert.equal(log.isRestarted, false, "who has cleared the list knows");
});

test("a request is found by its number, also where some are missing", () => {
  const some = [row(3), row(5), row(9)];
  assert.equal(indexOfNumber(some, 5), 1);
  assert.equal(indexOfNumber(some, 6), 2);
  assert.equal(indexOfNumber(some, 10), 3);
  assert.equal(indexOfNumber([], 1), 0);
});

// Filter

const passes = (changes, text, more = {}) => passesFilter(row(7, changes), { terms: readFilter(text), method: "", outcome: "", ...more });

test("every word of a filter must be found, in path, endpoint, method, status or failure, in any case", () => {
  assert.ok(passes({}, "USERS get"));
  assert.ok(passes({}, "user 200"));
  assert.ok(passes({ failed: "ZeroDivisionError in Cell In[3]" }, "zerodiv"));
  assert.ok(!passes({}, "users 404"));
  assert.ok(passes({}, "   "));
});

test("a word can be looked for in one place, and left out", () => {
  assert.ok(passes({ endpoint: "api.user" }, "endpoint:api"));
  assert.ok(!passes({ endpoint: "api.user" }, "path:api"));
  assert.ok(!passes({}, "-users"));
  assert.ok(passes({ path: "/about" }, "-path:users"));
  assert.ok(passes({ status: 404 }, "status:4"));
  assert.ok(passes({ path: "/a b" }, 'path:"a b"'));
  assert.ok(passes({ path: "/x?at=10:30" }, "at=10:30"));
});

test("list boxes choose a method and what became of a request", () => {
  assert.ok(passes({ method: "POST" }, "", { method: "POST" }));
  assert.ok(!passes({}, "", { method: "POST" }));
  assert.ok(passes({ status: 302 }, "", { outcome: "3" }));
  assert.ok(!passes({ status: null, open: true }, "", { outcome: "2" }));
  assert.ok(passes({ status: null, open: true }, "", { outcome: "open" }));
  assert.ok(passes({ status: 503 }, "", { outcome: "failed" }));
  assert.ok(passes({ status: 200, failed: "The client went away" }, "", { outcome: "failed" }));
  assert.ok(!passes({ status: 404 }, "", { outcome: "failed" }));
});

test("a status is a number, or a word where there is none", () => {
  assert.equal(statusText(row(1, { status: 204 })), "204");
  assert.equal(statusText(row(1, { status: null, open: true })), "open");
  assert.equal(statusText(row(1, { status: null, failed: "x" })), "failed");
  assert.equal(statusText(row(1, { status: null })), "none");
  assert.equal(statusLevel(row(1, { status: 404 })), "4");
  assert.equal(statusLevel(row(1, { status: 200, failed: "x" })), "5");
  assert.equal(statusLevel(row(1, { status: null })), "");
  assert.ok(isFailed(row(1, { status: 500 })));
  assert.ok(!isFailed(row(1, { status: 404 })));
});

// Words

test("the count says how many of how many are shown", () => {
  assert.equal(countText(412, 412), "412 requests");
  assert.equal(countText(37, 1412), "37 of 1,412 requests");
  assert.equal(countText(1, 1), "1 request");
});

test("it is said how many requests are not to be seen, and why", () => {
  assert.equal(missingText({ missed: 0, gone: 0 }), "");
  assert.equal(missingText({ missed: 340, gone: 340 }), "340 requests were not shown: more came than are kept.");
  assert.equal(missingText({ missed: 1, gone: 2 }), "1 request was not shown: more came than are kept. 1 earlier request is no longer kept.");
  assert.equal(missingText({ missed: 0, gone: 1200 }), "1,200 earlier requests are no longer kept.");
});

test("new requests are announced with those that failed", () => {
  assert.equal(newsText(5, 1), "5 new requests, 1 failed");
  assert.equal(newsText(1, 0), "1 new request");
});

test("streams and WebSockets say how much came and went", () => {
  assert.deepEqual(liveText(row(1)), ["", ""]);
  assert.deepEqual(liveText(row(1, { kind: "stream", out: 3 })), ["stream", "↓3"]);
  assert.deepEqual(liveText(row(1, { kind: "websocket", in: 2, out: 5 })), ["WebSocket", "↑2 ↓5"]);
  assert.deepEqual(rowFacts(row(1, { kind: "stream", open: true, ms: null, size: 2048, out: 1 })), ["user", "open", "2.0 KiB", "1 chunk"]);
  assert.deepEqual(rowFacts(row(1, { endpoint: null, ms: 12 })), ["no rule matched", "12 ms"]);
});

// Details

test("the traceback comes first where there is one, and the session only where it is known", () => {
  const names = (detail) => partsOf(detail).map(({ name }) => name);
  assert.deepEqual(names({ traceback: null, session: null }), ["response", "request", "output", "overview"]);
  assert.deepEqual(names({ traceback: {}, session: {} }), ["traceback", "response", "request", "output", "session", "overview"]);
});

test("the parts of a duration share it, as far as they are known", () => {
  const shares = timeShares({ queue_ms: 1, view_ms: 3, streaming_ms: null, total_ms: null });
  assert.deepEqual(shares.map(({ name, ms, share }) => [name, ms, share]), [["queue", 1, 0.25], ["view", 3, 0.75]]);
  assert.deepEqual(timeShares({ queue_ms: 0, view_ms: 0, streaming_ms: 0 }).map(({ share }) => share), [0, 0, 0]);
});

test("an editor shows what is masked, but for cookies, which it is not given, and what it covers up", () => {
  const shows = (changes) => editorShowsSecrets({ headers: [["Accept", "*/*", false]], args: [], body: { masked: false }, ...changes });
  assert.ok(!shows({}));
  assert.ok(!shows({ headers: [["authorization", "*", true], ["Cookie", "*", true]], args: [["page", "2", false]] }));
  assert.ok(shows({ headers: [["X-Api-Key", "*", true]] }));
  assert.ok(shows({ args: [["token", "*", true]] }));
  assert.ok(shows({ body: { masked: true } }));
});

test("what a request changed in the session is marked", () => {
  assert.deepEqual(sessionChanges({ user: 7, visits: 3, old: 1 }, { user: 7, visits: 4, cart: [1] }), [
    { name: "user", before: "7", after: "7", change: "" },
    { name: "visits", before: "3", after: "4", change: "changed" },
    { name: "old", before: "1", after: "", change: "removed" },
    { name: "cart", before: "", after: "[1]", change: "added" },
  ]);
  assert.deepEqual(sessionChanges({ user: 7 }, null), [{ name: "user", before: "7", after: "7", change: "" }]);
  assert.deepEqual(sessionChanges(null, null), []);
});

test("frames of libraries that follow one another are one group", () => {
  const frame = (name, own) => ({ name, own });
  const groups = groupFrames([frame("a", false), frame("b", false), frame("view", true), frame("c", false)]);
  assert.deepEqual(groups.map(({ own, frames }) => [own, frames.length]), [[false, 2], [true, 1], [false, 1]]);
});

// Statistics

test("a chart says in words what it shows", () => {
  assert.equal(chartText([0, 0, 0]), "No request in the last 3 s");
  assert.equal(chartText([0, 2, 5]), "7 requests in the last 3 s, at most 5 in one second");
  assert.equal(chartText([1]), "1 request in the last 1 s, at most 1 in one second");
});

test("a rate has a decimal only where it is small", () => {
  assert.equal(rateText(0), "0");
  assert.equal(rateText(0.25), "0.3");
  assert.equal(rateText(1234.4), "1,234");
});

test("the highest column of a chart is as high as the chart, and none at all is flat", () => {
  assert.equal(sparklinePath([0, 4, 2], 30, 20), "M0 20V20H10V0H20V10H30V20Z");
  assert.equal(sparklinePath([0, 0], 30, 20), "M0 20V20H15V20H30V20Z");
});
