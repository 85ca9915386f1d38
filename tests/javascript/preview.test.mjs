/** The preview's addresses and its history. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { pathUnder, targetOf, Visits } from "../../jupyter_flaskserve/widgets/preview.js";

const ORIGIN = "http://127.0.0.1:8888";
const ADDRESS = "/user/ann/flaskserve/demo/";

test("what a person types is a path of the app", () => {
  for (const [typed, path] of [
    ["/about", "/about"],
    ["about", "/about"],
    [" /users?page=2#top ", "/users?page=2#top"],
    ["", "/"],
    ["?q=1", "/?q=1"],
    ["/user/ann/flaskserve/demo/about", "/about"],
    ["/user/ann/flaskserve/demo", "/"],
    [`${ORIGIN}${ADDRESS}about?x=1`, "/about?x=1"],
    ["/a/../b", "/b"],
    ["/caf\u00e9", "/caf%C3%A9"],
  ]) {
    assert.equal(targetOf(typed, ADDRESS, ORIGIN), path, typed);
  }
});

test("what is not the app's is refused", () => {
  for (const typed of [
    "https://example.org/", `${ORIGIN}/lab`, "javascript:alert(1)", "data:text/html,x", "/../other/", "../../..",
    "/%2e%2e/%2E%2E/api",
  ]) {
    assert.equal(targetOf(typed, ADDRESS, ORIGIN), null, typed);
  }
});

test("the path under the app's address is told from a URL", () => {
  assert.equal(pathUnder(`${ORIGIN}${ADDRESS}a?b#c`, ADDRESS, ORIGIN), "/a?b#c");
  assert.equal(pathUnder(`${ORIGIN}${ADDRESS.slice(0, -1)}`, ADDRESS, ORIGIN), "/");
  assert.equal(pathUnder("about:blank", ADDRESS, ORIGIN), null);
  assert.equal(pathUnder(`${ORIGIN}/user/ann/flaskserve/demo2/`, ADDRESS, ORIGIN), null);
  assert.equal(pathUnder("no url", ADDRESS, ORIGIN), null);
});

test("one can go back and forward, and a new visit forgets what was ahead", () => {
  const visits = new Visits();
  assert.equal(visits.current, undefined);
  assert.equal(visits.go(-1), undefined);
  for (const path of ["/", "/a", "/a", "/b"]) visits.visit(path);
  assert.equal(visits.go(-1), "/a");
  assert.equal(visits.go(-1), "/");
  assert.equal(visits.canGoBack, false);
  assert.equal(visits.go(-1), undefined);
  assert.equal(visits.go(1), "/a");
  visits.visit("/c");
  assert.equal(visits.canGoForward, false);
  assert.equal(visits.go(-1), "/a");
});

test("a redirect takes the place of the visit that led to it", () => {
  const visits = new Visits();
  visits.visit("/");
  visits.visit("/old");
  visits.correct("/new");
  assert.equal(visits.current, "/new");
  assert.equal(visits.go(-1), "/");
  assert.equal(visits.go(1), "/new");
});

test("the list of visits does not grow for ever", () => {
  const visits = new Visits();
  for (let page = 0; page < 1000; page += 1) visits.visit(`/${page}`);
  let steps = 0;
  while (visits.go(-1) !== undefined) steps += 1;
  assert.equal(steps, 199);
});
