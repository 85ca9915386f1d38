/** The row above the panels of a mount: its state, and what one can do with its link. */

import { copyText } from "./shared/clipboard.js";
import { announce, h, uid } from "./shared/dom.js";
import { Inspector } from "./shared/inspector.js";

const REST = 1000; // milliseconds between two questions at the least

/**
 * What the row says of a mount.
 *
 * @param {{connection: string, lostText: string, stopped: boolean}} now
 * @returns {{word: string, tone: "good"|"dim"|"warning", text: string}} the word beside the dot, and
 *   a sentence below the row where one is needed
 */
export function stateOf({ connection, lostText, stopped }) {
  if (stopped) {
    return { word: "stopped", tone: "dim", text: "Run the cell with %flaskserve app again to serve it; this panel goes on by itself." };
  }
  if (connection === "lost") {
    const ended = lostText.startsWith("The kernel has ended");
    return { word: ended ? "kernel ended" : "no connection", tone: "warning", text: lostText };
  }
  return { word: "serving", tone: "good", text: "" };
}

/** The row, and how it follows the mount. */
export default function render({ model, el }) {
  const inspector = new Inspector(model, el);
  const { name } = inspector;
  const isElsewhere = model.get("other_origin");
  const { url } = inspector;
  let stopped = false;

  const dot = h("span", { class: "flaskserve-dot", "aria-hidden": "true" });
  const word = h("span", { class: "flaskserve-word" });
  const state = h("span", { class: "flaskserve-state", role: "status" }, dot, word);
  const link = h(
    "span", { class: "flaskserve-own" },
    h("strong", null, name), " ", h("a", { href: url, target: "_blank", rel: "noopener", onclick: openLink }, isElsewhere ? url : inspector.address),
  );
  const open = h(
    "a",
    { class: "flaskserve-button flaskserve-open", href: url, target: "_blank", rel: "noopener", onclick: openLink },
    "Open", h("span", { class: "flaskserve-hidden" }, ` ${name} in a new tab`),
  );
  const copy = h("button", { type: "button", class: "flaskserve-button", onclick: copyLink }, "Copy link");
  const stop = h("button", { type: "button", class: "flaskserve-button", onclick: askToStop }, "Stop…");
  const question = uid("question");
  const confirm = h("button", { type: "button", class: "flaskserve-button flaskserve-primary", onclick: stopMount }, "Stop");
  const keep = h("button", { type: "button", class: "flaskserve-button", onclick: () => endQuestion() }, "Keep");
  const asking = h(
    "span",
    { class: "flaskserve-asking", role: "group", "aria-labelledby": question, hidden: true, onkeydown: escape },
    h("span", { id: question }, `Stop ${name}?`), confirm, keep,
  );
  const row = h("div", { class: "flaskserve-toolbar" }, state, link, open, copy, stop, asking);
  const failure = h("p", { class: "flaskserve-last-failure flaskserve-own flaskserve-bad", hidden: true });
  const notice = h("p", { class: "flaskserve-notice", hidden: true });
  el.append(row, failure, notice);

  function show() {
    const { word: text, tone, text: sentence } = stateOf({
      connection: inspector.connection, lostText: inspector.lostText, stopped,
    });
    if (word.textContent !== text) word.textContent = text; // or it would be said again
    state.className = `flaskserve-state flaskserve-${tone}`;
    if (notice.textContent !== sentence) {
      notice.textContent = sentence;
      notice.hidden = !sentence;
      if (sentence) announce(el, sentence);
    }
    stop.disabled = stopped || inspector.connection === "lost";
    if (stop.disabled) endQuestion();
  }

  async function refresh(news) {
    if (news?.stopped) {
      stopped = true;
      show();
      return;
    }
    const now = await inspector.get("state");
    stopped = now.stopped;
    failure.hidden = now.failure === null;
    failure.textContent = now.failure === null ? "" : `A view failed: ${now.failure.text} · %flaskserve debug ${name}`;
    show();
    await new Promise((resolve) => setTimeout(resolve, REST)); // until then it is not called again
  }

  /** Where a login to Jupyter does not hold, the kernel gives a link that lets this browser in. */
  async function freshLink() {
    if (!isElsewhere) return url;
    try {
      return (await inspector.get("link")).link;
    } catch {
      return url;
    }
  }

  async function openLink(event) {
    if (!isElsewhere) return;
    event.preventDefault();
    const href = await freshLink();
    h("a", { href, target: "_blank", rel: "noopener" }).click();
  }

  async function copyLink() {
    const done = await copyText(await freshLink());
    copy.textContent = done ? "Copied" : "Not copied";
    announce(el, done ? "Link copied" : "The browser did not let the link be copied");
    setTimeout(() => {
      copy.textContent = "Copy link";
    }, 2000);
  }

  function askToStop() {
    stop.hidden = true;
    asking.hidden = false;
    confirm.focus();
  }

  function endQuestion() {
    const hadFocus = asking.contains(document.activeElement);
    asking.hidden = true;
    stop.hidden = false;
    if (hadFocus && !stop.disabled) stop.focus();
  }

  function escape(event) {
    if (event.key === "Escape") endQuestion();
  }

  async function stopMount() {
    try {
      await inspector.post("stop");
      stopped = true;
    } catch (error) {
      announce(el, error.message);
    }
    endQuestion();
    show();
    open.focus();
  }

  inspector.onConnection(() => {
    if (inspector.connection === "connected") stopped = false;
    show();
  });
  inspector.onNews(refresh);
  show();
  return () => inspector.close();
}
