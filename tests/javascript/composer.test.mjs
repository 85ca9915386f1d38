// The composer's functions of data: targets, headers, bodies, and where JSON goes wrong.

import assert from "node:assert/strict";
import { test } from "node:test";

import { argumentText, composeRequest, draftBody, takesBody } from "../../jupyter_flaskserve/widgets/shared/composer.js";
import { jsonProblem } from "../../jupyter_flaskserve/widgets/shared/json_position.js";
import {
  argumentProblem, buildPath, encodeArgument, encodePairs, headerProblem, joinTarget, parsePairs, readTarget, splitTarget, uuidPattern,
} from "../../jupyter_flaskserve/widgets/shared/targets.js";

const argument = (type, more = {}) => ({ name: "value", converter: type, type, ...more });

// Arguments

test("a text is percent-encoded as one segment", () => {
  const encode = (text) => encodeArgument(argument("string"), text);
  assert.equal(encode("a b"), "a%20b");
  assert.equal(encode("100%"), "100%25");
  assert.equal(encode("a/b"), "a%2Fb");
  assert.equal(encode("?#\\\"<>"), "%3F%23%5C%22%3C%3E");
  assert.equal(encode("größe 😀"), "gr%C3%B6%C3%9Fe%20%F0%9F%98%80");
  assert.equal(encode("a:b@c,d;e=f&g+h$i"), "a:b@c,d;e=f&g+h$i");
  assert.equal(encode("half \ud83d"), "half%20%EF%BF%BD");
});

test("a path keeps its slashes, and nothing else of what an address gives a meaning", () => {
  assert.equal(encodeArgument(argument("path"), "docs/a b/c?d#e.txt"), "docs/a%20b/c%3Fd%23e.txt");
  assert.equal(encodeArgument(argument("path"), "%2F/x"), "%252F/x");
});

test("a float is written with a point, as Werkzeug's converter wants it", () => {
  const encode = (text) => encodeArgument(argument("float"), text);
  assert.equal(encode("7"), "7.0");
  assert.equal(encode(" 7.25 "), "7.25");
  assert.equal(encode("-3"), "-3.0");
  assert.equal(encode(".5"), "0.5");
  assert.equal(encode("5."), "5.0");
  assert.equal(encode("1e3"), "1000.0");
  assert.equal(encode("1e-7"), "0.0000001");
  assert.equal(encode("abc"), "abc");
});

test("an int with a fixed number of digits is filled with zeros", () => {
  assert.equal(encodeArgument(argument("int", { length: 4 }), "42"), "0042");
  assert.equal(encodeArgument(argument("int"), " 42 "), "42");
});

test("what would not match is said but can be sent, what cannot be sent is not", () => {
  const problem = (type, value, more) => argumentProblem(argument(type, more), value);
  assert.equal(problem("int", "7"), null);
  assert.deepEqual(problem("int", ""), { text: "Needs a whole number.", blocks: true });
  assert.deepEqual(problem("int", "x"), { text: "Not a whole number. The rule will not match.", blocks: false });
  assert.match(problem("int", "1.5").text, /whole/);
  assert.match(problem("int", "-1").text, /Negative/);
  assert.equal(problem("int", "-1", { signed: true }), null);
  assert.match(problem("int", "0", { minimum: 1 }).text, /Less than 1/);
  assert.match(problem("float", "9.5", { maximum: 9 }).text, /More than 9/);
  assert.match(problem("int", "12345", { length: 4 }).text, /4 digits/);
  assert.equal(problem("float", "1e3"), null);
  assert.match(problem("uuid", "123").text, /UUID/);
  assert.equal(problem("uuid", "123e4567-e89b-42d3-a456-426614174000"), null);
  assert.match(problem("any", "x", { options: ["a"] }).text, /choices/);
  assert.match(problem("string", "a/b").text, /slash/);
  assert.match(problem("string", "ab", { shortest: 3 }).text, /Shorter than 3/);
  assert.match(problem("string", "abcd", { longest: 3 }).text, /Longer than 3/);
  assert.equal(problem("path", "a/b"), null);
  assert.equal(problem("path", "a/../b").blocks, true);
  assert.equal(problem("string", "..").blocks, true);
  assert.equal(problem("custom", "anything"), null);
});

test("the UUID pattern can be an input's", () => {
  assert.ok(new RegExp(`^(?:${uuidPattern})$`, "v" in RegExp.prototype ? "v" : "u").test("123e4567-e89b-42d3-a456-426614174000"));
});

test("a path is built of a rule's parts", () => {
  const parts = [
    { text: "/users of/", kind: "static" },
    { text: "<int:id>", kind: "argument", converter: "int", argument: "id" },
    { text: "/", kind: "static" },
    { text: "<path:rest>", kind: "argument", converter: "path", argument: "rest" },
  ];
  const of = [{ ...argument("int"), name: "id" }, { ...argument("path"), name: "rest" }];
  assert.equal(buildPath(parts, of, { id: "7", rest: "a/b c" }), "/users%20of/7/a/b%20c");
});

test("an argument's type is told in words", () => {
  assert.equal(argumentText({ type: "int", converter: "int", takes: "a whole number" }), "int: a whole number");
  assert.equal(argumentText({ type: "custom", converter: "color", takes: "" }), "color");
});

// Targets

test("a target is taken apart and put together", () => {
  assert.deepEqual(splitTarget("/a?x=1&y=a%20b+c&z&=q#part"), { path: "/a", query: [["x", "1"], ["y", "a b c"], ["z", ""], ["", "q"]] });
  assert.deepEqual(splitTarget("/a"), { path: "/a", query: [] });
  assert.equal(joinTarget("/a", [["x", "1&2"], ["", ""], ["é", "a b"]]), "/a?x=1%262&%C3%A9=a%20b");
  assert.equal(joinTarget("/a", []), "/a");
});

test("pairs survive being written and read", () => {
  const pairs = [["a b", "c&d=e"], ["+", "%41"], ["ü", "a/b:c@d,e"], ["same", "1"], ["same", "2"]];
  assert.deepEqual(parsePairs(encodePairs(pairs)), pairs);
});

test("malformed percents are left as they are", () => {
  assert.deepEqual(parsePairs("a=100%&b=%zz"), [["a", "100%"], ["b", "%zz"]]);
});

test("a whole URL of the app is read as a target", () => {
  const address = "/base/flaskserve/demo/";
  assert.equal(readTarget("http://127.0.0.1:8888/base/flaskserve/demo/users?x=1", address), "/users?x=1");
  assert.equal(readTarget("https://example.org/base/flaskserve/demo", address), "/");
  assert.equal(readTarget("http://example.org", address), "/");
  assert.equal(readTarget("http://example.org/base/flaskserve/demolition", address), "/base/flaskserve/demolition");
  assert.equal(readTarget(" users ", address), "/users");
  assert.equal(readTarget("", address), "/");
});

// Headers

test("a header is refused, left out or sent", () => {
  assert.equal(headerProblem("X-Thing", "a b"), null);
  assert.equal(headerProblem("", ""), null);
  assert.equal(headerProblem("", "value").blocks, true);
  assert.equal(headerProblem("Not a name", "").blocks, true);
  assert.equal(headerProblem("X-Thing", "a\nb").blocks, true);
  assert.equal(headerProblem("X-Thing", "日本").blocks, true);
  assert.equal(headerProblem("X-Thing", "café"), null);
  for (const name of ["Cookie", "HOST", "Sec-Fetch-Mode", "proxy-anything", "Content-Length"]) {
    assert.equal(headerProblem(name, "x").blocks, false, name);
    assert.match(headerProblem(name, "x").text, /left out/);
  }
});

// Requests

const draft = (changes) => ({ method: "POST", target: "/", headers: [], bodyKind: "none", text: "", fields: [], file: null, ...changes });

test("the kind of body gives the Content-Type, unless a header does", () => {
  assert.deepEqual(composeRequest(draft({ bodyKind: "json", text: "[1]" })).headers, [["Content-Type", "application/json"]]);
  assert.deepEqual(composeRequest(draft({ bodyKind: "text", text: "x" })).headers, [["Content-Type", "text/plain; charset=utf-8"]]);
  const own = [["content-type", "application/problem+json"]];
  assert.deepEqual(composeRequest(draft({ bodyKind: "json", text: "[1]", headers: own })).headers, own);
  assert.deepEqual(composeRequest(draft({})).headers, []);
});

test("a form without a file is URL-encoded, with one it is multipart with the browser's boundary", () => {
  const plain = composeRequest(draft({ bodyKind: "form", fields: [["a", "b c"], ["", ""]] }));
  assert.equal(plain.body, "a=b%20c");
  assert.deepEqual(plain.headers, [["Content-Type", "application/x-www-form-urlencoded"]]);
  const file = new Blob(["content"]);
  const mixed = composeRequest(draft({ bodyKind: "form", fields: [["a", "b"], ["up", file]], headers: [["Content-Type", "multipart/form-data"]] }));
  assert.ok(mixed.body instanceof FormData);
  assert.equal(mixed.body.get("a"), "b");
  assert.ok(mixed.body.get("up") instanceof Blob);
  assert.deepEqual(mixed.headers, []);
});

test("a form with a file that has not been chosen cannot be sent", () => {
  assert.match(composeRequest(draft({ bodyKind: "form", fields: [["up", null]] })).problem, /Choose the file of the field up/);
});

test("a file is the body, and has to be chosen", () => {
  const file = new Blob(["x"], { type: "image/png" });
  const request = composeRequest(draft({ bodyKind: "file", file }));
  assert.equal(request.body, file);
  assert.deepEqual(request.headers, [["Content-Type", "image/png"]]);
  assert.match(composeRequest(draft({ bodyKind: "file" })).problem, /Choose/);
});

test("GET and HEAD have no body, and what was typed for one is not sent", () => {
  assert.equal(takesBody("get"), false);
  const request = composeRequest(draft({ method: "GET", bodyKind: "json", text: "[1]" }));
  assert.equal(request.body, null);
  assert.deepEqual(request.headers, []);
});

test("broken JSON can be sent on purpose, an empty body of JSON or a bad header cannot", () => {
  assert.equal(composeRequest(draft({ bodyKind: "json", text: "{" })).problem, "");
  assert.match(composeRequest(draft({ bodyKind: "json", text: " " })).problem, /empty/);
  assert.match(composeRequest(draft({ headers: [["bad name", ""]] })).problem, /bad name/);
});

test("a recorded body gets the editor that suits it", () => {
  const bytes = (text) => new TextEncoder().encode(text);
  const type = (text) => [["Content-Type", text]];
  assert.equal(draftBody([], null).bodyKind, "none");
  assert.deepEqual(draftBody(type("application/x-www-form-urlencoded"), "a=1&b=+").fields, [["a", "1"], ["b", " "]]);
  assert.equal(draftBody(type("application/problem+json; charset=utf-8"), bytes("{}")).bodyKind, "json");
  assert.equal(draftBody(type("text/csv"), bytes("a,b")).text, "a,b");
  assert.equal(draftBody(type("multipart/form-data; boundary=x"), "--x\r\n").bodyKind, "file");
  const binary = new Uint8Array([255, 254]);
  assert.equal(draftBody(type("text/plain"), binary).file, binary);
});

// JSON

test("the first error in JSON has its line, its column and a reason", () => {
  const at = (text) => {
    const found = jsonProblem(text);
    return found && `${found.line}:${found.column} ${found.message}`;
  };
  assert.equal(at('{"a": [1, 2.5e3, "x\\n", true, null]}'), null);
  assert.equal(at('{\n  "a": 1,\n}'), "3:1 a comma may not stand before }");
  assert.equal(at("[1, ]"), "1:5 a comma may not stand before ]");
  assert.equal(at('{"a" 1}'), "1:6 a colon is missing after the name");
  assert.equal(at('{"a": 1 "b": 2}'), "1:9 a comma or } is missing");
  assert.equal(at("{'a': 1}"), "1:2 names stand in double quotes");
  assert.equal(at("['a']"), "1:2 texts stand in double quotes");
  assert.equal(at("{a: 1}"), "1:2 a name in double quotes is missing");
  assert.equal(at("[True]"), "1:2 True is written true in JSON");
  assert.equal(at("[01]"), "1:2 this is not a number in JSON");
  assert.equal(at('"abc'), "1:1 a text is not closed");
  assert.equal(at('"a\nb"'), "1:3 a line break or tab in a text is written \\n or \\t");
  assert.equal(at('"\\x"'), "1:2 a backslash is written \\\\");
  assert.equal(at("[1] 2"), "1:5 nothing may follow the value");
  assert.equal(at('["😀", oops]'), "1:7 oops is no value in JSON; texts stand in double quotes");
  assert.equal(at("[1"), "1:3 a comma or ] is missing");
  assert.equal(at('{"a":'), "1:6 a value after the colon is missing");
  assert.equal(at(""), "1:1 a value is missing");
});

test("the reader of JSON finds an error wherever the engine does", () => {
  const texts = ['{"a":[1,{"b":null}],"c":"\\u00e9"}', "[-1.5e+10,false]", '"text"'];
  for (const text of texts) {
    for (let at = 0; at <= text.length; at += 1) {
      for (const put of ["", ",", "}", '"', "\\", "x", "0", "\t", "\u00a0"]) {
        const changed = text.slice(0, at) + put + text.slice(at + 1);
        let isValid = true;
        try {
          JSON.parse(changed);
        } catch {
          isValid = false;
        }
        const found = jsonProblem(changed);
        assert.equal(found === null, isValid, changed);
        assert.notEqual(found?.message, "this is not JSON", changed);
      }
    }
  }
});

test("JSON that is nested without end is refused, not followed", () => {
  assert.match(jsonProblem("[".repeat(100_000)).message, /deeply/);
});
