/** The times and the processes of the comparison's diagram. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { duration, inWords, legs, processes } from "../../jupyter_flaskserve/widgets/compare.js";

test("a time has the unit and the digits that people read", () => {
  assert.deepEqual(
    [0.0000031, 0.00012, 0.0012, 0.069, 0.9994, 1.234].map(duration),
    ["0.003 ms", "0.12 ms", "1.2 ms", "69 ms", "999 ms", "1.23 s"],
  );
});

test("a request goes from place to place, is in the app, and comes back", () => {
  const way = legs({ reached: 1, left: 2, returned: 4 }, 3);
  assert.deepEqual(way.map(({ from, to }) => [from, to]), [[0, 1], [1, 2], [2, 2], [2, 1], [1, 0]]);
  assert.deepEqual(way.map(({ start }) => start), [0, 0.125, 0.25, 0.5, 0.75]);
  assert.equal(way.at(-1).end, 1);
});

test("a client that has read all before the app has ended does not make time go backwards", () => {
  const way = legs({ reached: 1, left: 3, returned: 2 }, 2);
  for (const leg of way) assert.ok(leg.start <= leg.end && leg.end <= 1, JSON.stringify(leg));
});

test("places of one process that follow each other are one frame", () => {
  const places = (...names) => names.map((process) => ({ process }));
  assert.deepEqual(processes(places("browser", "nginx", "worker", "worker")), [[2, 3]]);
  assert.deepEqual(processes(places("browser", "python", "python", "python")), [[1, 3]]);
  assert.deepEqual(processes(places("kernel", "kernel")), [[0, 1]]);
  assert.deepEqual(processes(places("a", "b", "c")), []);
});

test("a diagram in words says how each is reached, and what is one process", () => {
  const places = [
    { title: "Browser", link: "", process: "browser", copies: 1 },
    { title: "Apache", link: "HTTP", process: "apache", copies: 1 },
    { title: "2 daemons", link: "Unix socket", process: "daemon", copies: 1 },
    { title: "Flask app", link: "WSGI", process: "daemon", copies: 2 },
  ];
  assert.equal(
    inWords(places),
    "Who talks to whom: Browser, by HTTP to Apache, by Unix socket to 2 daemons, by WSGI to Flask app."
      + " 2 daemons and Flask app: 2 processes, each with an app",
  );
});
