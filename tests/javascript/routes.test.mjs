// The routes panel's functions of data: order, filter, what follows what, and Python in colour.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  docParagraphs, filterRoutes, followRoute, outcomeOf, routeKeys, routesText, rowAfterKey, rowsInView, shownMethods, sortRoutes, unreachableMark,
} from "../../jupyter_flaskserve/widgets/routes.js";
import { pythonTokens } from "../../jupyter_flaskserve/widgets/shared/python.js";

const route = (rule, changes = {}) => ({
  host: "", rule, endpoint: rule.slice(1), view: "", doc_first: "", methods: ["GET"], websocket: false, index: 0, defined: 0, ...changes,
});

test("routes are sorted as Flask tries them or as the code defines them, in a new list", () => {
  const routes = [route("/b", { index: 1, defined: 0 }), route("/a", { index: 0, defined: 1 })];
  assert.deepEqual(sortRoutes(routes, "match").map(({ rule }) => rule), ["/a", "/b"]);
  assert.deepEqual(sortRoutes(routes, "defined").map(({ rule }) => rule), ["/b", "/a"]);
  assert.equal(routes[0].rule, "/b");
});

test("a filter wants every word, in any of rule, method, endpoint, view and docstring, in any case", () => {
  const routes = [
    route("/users", { methods: ["POST"], doc_first: "Adds a Person." }),
    route("/users/<int:id>", { endpoint: "api.user", view: "lesson.show" }),
    route("/about"),
  ];
  const found = (text) => filterRoutes(routes, text).map(({ rule }) => rule);
  assert.deepEqual(found(""), ["/users", "/users/<int:id>", "/about"]);
  assert.deepEqual(found("  USERS post "), ["/users"]);
  assert.deepEqual(found("person"), ["/users"]);
  assert.deepEqual(found("api.user show"), ["/users/<int:id>"]);
  assert.deepEqual(found("users nothing"), []);
});

test("a filter's words do not match across two fields", () => {
  assert.deepEqual(filterRoutes([route("/ab", { endpoint: "cd" })], "abcd"), []);
});

test("Flask's own static files are counted apart", () => {
  const files = route("/static/<path:filename>", { static: true });
  assert.equal(routesText([route("/a"), files, route("/b")]), "2 routes and Flask's own /static");
  assert.equal(routesText([route("/a")]), "1 route");
  assert.equal(routesText([files]), "0 routes and Flask's own /static");
});

test("HEAD and OPTIONS are shown only where there is no other method", () => {
  assert.deepEqual(shownMethods(["HEAD", "DELETE", "OPTIONS", "GET", "BREW"]), ["GET", "DELETE", "BREW"]);
  assert.deepEqual(shownMethods(["OPTIONS", "HEAD"]), ["HEAD", "OPTIONS"]);
});

test("each route has a key of its own, also where two are alike", () => {
  const keys = routeKeys([route("/a"), route("/a"), route("/a", { methods: ["POST"] })]);
  assert.equal(new Set(keys).size, 3);
  assert.equal(routeKeys([route("/a", { index: 5 })])[0], keys[0]);
});

test("an open route is followed when its rule changes, unless nobody can say where it went", () => {
  const before = route("/old", { endpoint: "view" });
  const follow = (...routes) => {
    const keys = routeKeys(routes);
    const next = followRoute(routeKeys([before])[0], before, new Map(keys.map((key, index) => [key, routes[index]])));
    return next === null ? null : routes[keys.indexOf(next)].rule;
  };
  assert.equal(follow(route("/other"), before), "/old");
  assert.equal(follow(route("/new", { endpoint: "view" }), route("/other")), "/new");
  assert.equal(follow(route("/new", { endpoint: "view" }), route("/newer", { endpoint: "view" })), null);
  assert.equal(follow(route("/other")), null);
});

test("only rows in view and a few around them are drawn", () => {
  assert.deepEqual(rowsInView(0, 300, 30, 10_000), [0, 18]);
  assert.deepEqual(rowsInView(30_000, 300, 30, 10_000), [992, 1018]);
  assert.deepEqual(rowsInView(299_700, 300, 30, 10_000), [9982, 10_000]);
  assert.deepEqual(rowsInView(9000, 300, 30, 5), [4, 5], "after a filter, before the browser has scrolled back");
  assert.deepEqual(rowsInView(0, 300, 30, 0), [0, 0]);
});

test("arrow keys stay in the list, and other keys are left alone", () => {
  assert.equal(rowAfterKey("ArrowDown", 0, 3, 10), 1);
  assert.equal(rowAfterKey("ArrowDown", 2, 3, 10), 2);
  assert.equal(rowAfterKey("ArrowUp", 0, 3, 10), 0);
  assert.equal(rowAfterKey("PageDown", 4, 100, 10), 14);
  assert.equal(rowAfterKey("PageUp", 4, 100, 10), 0);
  assert.equal(rowAfterKey("Home", 4, 100, 10), 0);
  assert.equal(rowAfterKey("End", 4, 100, 10), 99);
  assert.equal(rowAfterKey("b", 4, 100, 10), null);
});

test("a match says which rule wins, with its arguments, and why the others do not", () => {
  const match = { outcome: "match", winner: 1, arguments: { id: "7", name: "'x'" }, reasons: new Map([[0, "Another path."]]) };
  assert.deepEqual(outcomeOf(match, 1), { wins: true, text: "Wins, with id = 7, name = 'x'" });
  assert.deepEqual(outcomeOf(match, 0), { wins: false, text: "Another path." });
  assert.equal(outcomeOf(match, 2), null);
  assert.equal(outcomeOf({ ...match, arguments: {} }, 1).text, "Wins");
  assert.equal(outcomeOf({ ...match, outcome: "redirect" }, 1).text, "Redirects.");
});

test("what can probably never match is marked for all its methods or for some", () => {
  assert.deepEqual(unreachableMark({ methods: ["GET"], text: "It can probably never match: GET /x goes to /<y> (y)." }), {
    mark: "probably never matches",
    why: "GET /x goes to /<y> (y).",
  });
  assert.equal(
    unreachableMark({ methods: ["POST"], text: "With POST, it can probably never match: POST /x goes to /x (y)." }).mark,
    "POST probably never matches",
  );
  assert.equal(unreachableMark({ methods: [], text: "Another sentence." }).why, "Another sentence.");
});

test("a docstring's lines are joined, its paragraphs, lists and code are not", () => {
  assert.deepEqual(docParagraphs("One\nsentence.\n\n\n- a\n- b\n\nCode:\n    x = 1\n"), ["One sentence.", "- a\n- b", "Code:\n    x = 1\n"]);
  assert.deepEqual(docParagraphs(""), []);
});

const SOURCES = [
  '@app.get("/<int:id>")\nasync def show(id: int) -> str:\n    """One.\n\n    Two \'s."""\n    return f"{id!r}" # no "text"\n',
  "x = 'it\\'s' + r\"\\\" + 0xFF + 1_000.5e-3j + name1\n",
  'broken = "not closed\nnext = 1\n',
  '"""never closed\n\ndef f(): pass',
  "größe = '😀' @ b''",
  "",
];

test("no character of a source is lost or added", () => {
  for (const source of SOURCES) assert.equal(pythonTokens(source).map(({ text }) => text).join(""), source);
});

test("keywords, texts, comments, numbers, decorators and definitions have their kinds", () => {
  const kinds = pythonTokens(SOURCES[0]).filter(({ kind }) => kind);
  assert.deepEqual(kinds.map(({ kind, text }) => `${kind} ${text.split("\n")[0]}`), [
    "decorator @app.get", 'string "/<int:id>"', "keyword async", "keyword def", "definition show", 'string """One.',
    "keyword return", 'string f"{id!r}"', 'comment # no "text"',
  ]);
  assert.equal(kinds[5].text, '"""One.\n\n    Two \'s."""');
});

test("a text that is not closed ends with its line, one with three quotes with the source", () => {
  const strings = (source) => pythonTokens(source).filter(({ kind }) => kind === "string").map(({ text }) => text);
  assert.deepEqual(strings(SOURCES[2]), ['"not closed']);
  assert.deepEqual(strings(SOURCES[3]), [SOURCES[3]]);
});

test("digits in a name are no number, and an @ between values is no decorator", () => {
  const kinds = pythonTokens("name1 = a @ b2").map(({ kind }) => kind);
  assert.deepEqual(kinds, [""]);
});

test("a long and odd source is cut quickly", () => {
  for (const piece of ['"', "'''", "\\", 'x"', "@", "f'{"]) {
    const source = piece.repeat(20_000);
    const begun = performance.now();
    assert.equal(pythonTokens(source).map(({ text }) => text).join(""), source);
    assert.ok(performance.now() - begun < 2000, `${piece} took ${performance.now() - begun} ms`);
  }
});
