// What is made of a body: its kind, its text, a tree, a hex dump.

import assert from "node:assert/strict";
import { test } from "node:test";

import { bodyExtent, bodyKind, charsetOf, decodeText, harmlessPage, loadedBody } from "../../jupyter_flaskserve/widgets/shared/body.js";
import { formatClock, formatCount, formatDuration, formatMoment, formatSize } from "../../jupyter_flaskserve/widgets/shared/format.js";
import { hexLines } from "../../jupyter_flaskserve/widgets/shared/hex.js";
import { indentJson, nodeSummary, readJson } from "../../jupyter_flaskserve/widgets/shared/json_tree.js";

const bytes = (text) => new TextEncoder().encode(text);

// Kinds

test("the kind of a body is told by its type", () => {
  const kinds = {
    "application/json": "json",
    "application/problem+json; charset=utf-8": "json",
    "Application/JSON": "json",
    "application/x-www-form-urlencoded": "form",
    "multipart/form-data; boundary=x": "multipart",
    "text/html; charset=utf-8": "html",
    "image/png": "image",
    "image/svg+xml": "image",
    "image/tiff": "binary",
    "text/csv": "text",
    "application/atom+xml": "text",
    "application/javascript": "text",
    "application/jsonp": "binary",
    "application/pdf": "binary",
  };
  for (const [type, kind] of Object.entries(kinds)) assert.equal(bodyKind(type, bytes("x")), kind, type);
});

test("a body without bytes is empty, whatever its type", () => {
  assert.equal(bodyKind("application/json", bytes("")), "empty");
});

test("without a type it is text where it is UTF-8, also where a character is cut", () => {
  assert.equal(bodyKind("", bytes("grün\n")), "text");
  assert.equal(bodyKind(null, bytes("grü").subarray(0, 3)), "text");
  assert.equal(bodyKind("", new Uint8Array([0xff, 0xfe, 0x41])), "binary");
  assert.equal(bodyKind("", new Uint8Array([0x41, 0x00])), "binary");
});

test("a charset is found with and without quotes", () => {
  assert.equal(charsetOf("text/plain; charset=ISO-8859-1"), "iso-8859-1");
  assert.equal(charsetOf('text/plain; a=b; Charset="utf-16"'), "utf-16");
  assert.equal(charsetOf("text/plain"), "");
  assert.equal(charsetOf(null), "");
});

test("bytes that are here are handed out piece by piece", async () => {
  const { body, load } = loadedBody("text/plain; charset=latin1", bytes("abcdef"), true);
  assert.deepEqual({ kind: body.kind, type: body.type, charset: body.charset, kept: body.kept }, { kind: "text", type: "text/plain", charset: "latin1", kept: 6 });
  assert.ok(body.size > body.kept);
  const piece = await load(2, 3);
  assert.equal(new TextDecoder().decode(piece.bytes), "cde");
  assert.equal(piece.total, 6);
});

test("text is read by its charset, and as UTF-8 where that is not known", () => {
  assert.equal(decodeText(new Uint8Array([0xfc]), "iso-8859-1", true), "ü");
  assert.equal(decodeText(bytes("ü"), "", true), "ü");
  assert.equal(decodeText(bytes("ü"), "no-such-charset", true), "ü");
});

test("a character that is cut is left out until the rest of it is here", () => {
  assert.equal(decodeText(bytes("aü").subarray(0, 2), "utf-8", false), "a");
  assert.equal(decodeText(bytes("aü").subarray(0, 2), "utf-8", true), "a\ufffd");
});

test("a page in a preview loads nothing, and its own words come after that is said", () => {
  const page = harmlessPage("<h1>Hello</h1>");
  assert.match(page, /^<!doctype html><meta http-equiv="Content-Security-Policy" content="default-src 'none'/);
  assert.ok(page.endsWith("<h1>Hello</h1>"));
});

test("it is said how much of a body is shown and how much was kept", () => {
  const kib = 1024;
  assert.equal(bodyExtent({ size: 300 * kib, kept: 300 * kib }, 64 * kib, 300 * kib), "64.0 KiB of 300 KiB are shown.");
  assert.equal(
    bodyExtent({ size: 31, kept: 0 }, 0, 0), "None of its 31 B are here: the app did not read it, or room was needed.",
  );
  assert.equal(bodyExtent({ size: 1.2 * kib ** 3, kept: kib ** 2 }, kib ** 2, kib ** 2), "1.0 MiB of 1.2 GiB were kept.");
  assert.equal(bodyExtent({ size: 10, kept: 10 }, 10, 10), "");
});

// JSON

test("JSON becomes a tree that keeps what JSON.parse would lose", () => {
  const node = readJson('{"b": 12345678901234567890, "1": 1.50, "b": [true, null, "\\u00fc\\n"]}');
  assert.deepEqual(node, {
    kind: "object",
    entries: [
      ["b", { kind: "number", text: "12345678901234567890" }],
      ["1", { kind: "number", text: "1.50" }],
      ["b", {
        kind: "array",
        items: [{ kind: "word", text: "true" }, { kind: "word", text: "null" }, { kind: "string", text: "ü\n" }],
      }],
    ],
  });
});

test("JSON text and text that is not are told apart as JSON.parse does", () => {
  const texts = [
    "1", "-0", "0.5e-3", " [ ] ", "{}", '{"a":{}}', "[1,2]", '"\\"\\\\\\/\\b\\f\\n\\r\\t"', "[[[]],{}]", '{"":""}', '"\u2028"',
    "", " ", "01", "1.", ".5", "+1", "NaN", "[1,]", "[,1]", '{"a":1,}', "{a:1}", "{'a':1}", '{"a" 1}', '{"a":}', "[1 2]", "[", "]", "{", '"a',
    '"\t"', '"\\x"', "truefalse", "true false", "[1]]", '{"a":1}}', "nul", "//", '["a":1]', '{"a","b"}',
  ];
  for (const text of texts) {
    let isJson = true;
    try {
      JSON.parse(text);
    } catch {
      isJson = false;
    }
    assert.equal(readJson(text) !== null, isJson, text);
  }
});

test("a byte order mark before JSON is passed over", () => {
  assert.deepEqual(readJson("\ufeff1"), { kind: "number", text: "1" });
});

test("JSON that is deep, or one long text, is read", () => {
  const depth = 100_000;
  assert.equal(readJson("[".repeat(depth) + "]".repeat(depth)).kind, "array");
  const long = "a\\n".repeat(500_000);
  assert.equal(readJson(`"${long}"`).text.length, 1_000_000);
});

test("a closed array or object says how much is in it", () => {
  assert.equal(nodeSummary(readJson("[1, 2]")), "[2 items]");
  assert.equal(nodeSummary(readJson("[1]")), "[1 item]");
  assert.equal(nodeSummary(readJson('{"a": 1}')), "{1 key}");
  assert.equal(nodeSummary(readJson("{}")), "{0 keys}");
});

test("indented JSON is laid out as JSON.stringify does it, and is else as it was written", () => {
  const texts = ['{"a":[1,{"b":null}],"c":{},"d":[ ],"e":"x, {y}: \\"[z]\\\\"}', " [ 1 ,2, [[]] ] ", '""', "-1.5e3"];
  for (const text of texts) {
    const wanted = JSON.stringify(JSON.parse(text), null, 2).replace("-1500", "-1.5e3");
    assert.equal(indentJson(text), wanted);
    assert.equal(indentJson(wanted), wanted);
  }
  assert.equal(indentJson('{"n":12345678901234567890,"n":1.50}'), '{\n  "n": 12345678901234567890,\n  "n": 1.50\n}');
});

// Hex

test("a hex dump has offsets, pairs of digits and what is ASCII", () => {
  assert.deepEqual(hexLines(bytes("Hello, flask!\n\u00fc.")), [
    { offset: "00000000", hex: "48 65 6c 6c 6f 2c 20 66  6c 61 73 6b 21 0a c3 bc", ascii: "Hello, flask!..." },
    { offset: "00000010", hex: `2e${" ".repeat(46)}`, ascii: "." },
  ].map((line) => ({ ...line, hex: line.hex.padEnd(48) })));
  assert.equal(hexLines(new Uint8Array(1), 0x12340)[0].offset, "00012340");
  assert.deepEqual(hexLines(new Uint8Array()), []);
});

// Numbers

test("sizes are short, and never 1024 of a unit", () => {
  const sizes = { 0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 65536: "64.0 KiB", 102300: "99.9 KiB", 102400: "100 KiB", 1048575: "1.0 MiB", 1288490188: "1.2 GiB" };
  for (const [size, text] of Object.entries(sizes)) assert.equal(formatSize(Number(size)), text);
  assert.equal(formatSize(null), "");
});

test("durations are as exact as they are short", () => {
  const durations = [
    [0, "0.0 ms"], [0.42, "0.4 ms"], [9.949, "9.9 ms"], [9.96, "10 ms"], [999.4, "999 ms"], [999.6, "1.00 s"], [9994, "9.99 s"], [9996, "10.0 s"],
    [59_940, "59.9 s"], [59_960, "1 min 0 s"], [125_000, "2 min 5 s"], [7_260_000, "2 h 1 min"], [null, ""],
  ];
  for (const [milliseconds, text] of durations) assert.equal(formatDuration(milliseconds), text);
});

test("a count has its word in the singular and the plural", () => {
  assert.equal(formatCount(1, "request"), "1 request");
  assert.equal(formatCount(0, "request"), "0 requests");
  assert.equal(formatCount(1204, "request"), "1,204 requests");
});

test("a time of day is the reader's, with two digits each", () => {
  const seconds = new Date(2024, 0, 2, 3, 4, 5, 67).getTime() / 1000;
  assert.equal(formatClock(seconds), "03:04:05");
  assert.equal(formatMoment(seconds), "2024-01-02 03:04:05.067");
});
