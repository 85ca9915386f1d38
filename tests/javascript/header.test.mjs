/** What the header says of a mount. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { stateOf } from "../../jupyter_flaskserve/widgets/header.js";
import { lossText } from "../../jupyter_flaskserve/widgets/shared/inspector.js";

test("each state is a word of its own, and says what to do where something is wrong", () => {
  assert.deepEqual(stateOf({ connection: "connected", lostText: "", stopped: false }), {
    word: "serving", tone: "good", text: "",
  });
  const ended = lossText(503, "kernel-stopped", "demo");
  assert.deepEqual(stateOf({ connection: "lost", lostText: ended, stopped: false }), {
    word: "kernel ended", tone: "warning", text: ended,
  });
  assert.equal(stateOf({ connection: "lost", lostText: lossText(403, "", "demo"), stopped: false }).word, "no connection");
  const stopped = stateOf({ connection: "lost", lostText: lossText(404, "", "demo"), stopped: true });
  assert.equal(stopped.word, "stopped");
  assert.match(stopped.text, /Run the cell with %flaskserve app again/);
});
