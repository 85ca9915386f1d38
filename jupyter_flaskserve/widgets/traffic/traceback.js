// A traceback: the app's own code open, what lies between it folded.

import { copyText } from "../shared/clipboard.js";
import { announce, h } from "../shared/dom.js";
import { formatCount } from "../shared/format.js";

/**
 * @typedef {{place: string, name: string, own: boolean, source: [number, string, boolean][],
 *   variables: [string, string, boolean][]}} Frame
 */

/**
 * Frames that follow one another and are both of the app, or both not.
 *
 * @param {Frame[]} frames
 * @returns {{own: boolean, frames: Frame[]}[]}
 */
export function groupFrames(frames) {
  const groups = [];
  for (const frame of frames) {
    const last = groups[groups.length - 1];
    if (last?.own === frame.own) last.frames.push(frame);
    else groups.push({ own: frame.own, frames: [frame] });
  }
  return groups;
}

/**
 * @param {{summary: string, text: string, has_variables: boolean, frames: Frame[]}} traceback
 * @param {string} debug what a person runs in a cell to look at it there
 * @returns {HTMLElement}
 */
export function tracebackView(traceback, debug) {
  const { summary, text, frames } = traceback;
  const lastOwn = frames.findLastIndex((frame) => frame.own);
  const opened = frames[lastOwn] ?? frames[frames.length - 1];
  return h(
    "div",
    { class: "flaskserve-traceback" },
    h("p", { class: "flaskserve-traceback-summary flaskserve-bad" }, summary),
    h(
      "div",
      { class: "flaskserve-traceback-debug" },
      h("code", { title: "Run in a cell, it opens a debugger there" }, debug),
      copyButton("Copy", debug, `Copy ${debug}`),
      copyButton("Copy traceback", text),
    ),
    frames.length === 0 ? h("pre", { class: "flaskserve-code" }, text) : null,
    groupFrames(frames).map((group) => (group.own || group.frames.includes(opened)
      ? group.frames.map((frame) => frameView(frame, frame === opened))
      : h(
        "details",
        { class: "flaskserve-frames" },
        h("summary", { class: "flaskserve-dim" }, `${formatCount(group.frames.length, "call")} in libraries`),
        group.frames.map((frame) => frameView(frame, false)),
      ))),
  );
}

function frameView({ place, name, own, source, variables }, isOpened) {
  return h(
    "details",
    { class: "flaskserve-frame", open: own || isOpened },
    h(
      "summary",
      null,
      h("code", null, name),
      " ",
      h("span", { class: "flaskserve-dim" }, place),
      own ? h("span", { class: "flaskserve-badge flaskserve-note" }, "your code") : null,
    ),
    source.length > 0 ? h(
      "pre",
      { class: "flaskserve-code flaskserve-frame-source", tabindex: "0", role: "region", "aria-label": `Source of ${name}` },
      source.map(([number, line, isCurrent]) => h(
        "span",
        { class: isCurrent ? "flaskserve-frame-line flaskserve-frame-current" : "flaskserve-frame-line" },
        h("span", { class: "flaskserve-frame-number" }, isCurrent ? `▶ ${number}` : String(number)),
        h("span", null, line || " "),
      )),
    ) : null,
    variables.length > 0 ? h(
      "details",
      { class: "flaskserve-frame-variables", open: isOpened },
      h("summary", null, `Variables (${variables.length})`),
      h(
        "table",
        { class: "flaskserve-table flaskserve-facts", "aria-label": `Variables of ${name}` },
        h("tbody", null, variables.map(([variable, value, isMasked]) => h(
          "tr",
          null,
          h("th", { scope: "row", class: "flaskserve-code" }, variable),
          h("td", { class: isMasked ? "flaskserve-masked" : null }, value),
        ))),
      ),
    ) : null,
  );
}

/**
 * A button that copies a text, and says so.
 *
 * @param {string} label
 * @param {string} text
 * @param {string} [name] for screen readers, where the label is too short
 * @returns {HTMLElement}
 */
export function copyButton(label, text, name) {
  const button = h(
    "button",
    {
      type: "button",
      class: "flaskserve-button",
      "aria-label": name ?? null,
      onclick: async () => {
        const word = (await copyText(text)) ? "Copied" : "Not copied";
        flash(button, word, label);
        announce(button.closest(".flaskserve-panel"), word);
      },
    },
    label,
  );
  return button;
}

/**
 * Lets a button say something for a moment.
 *
 * @param {HTMLElement} button
 * @param {string} text
 * @param {string} label what it says otherwise
 */
export function flash(button, text, label) {
  button.style.minWidth = `${button.offsetWidth}px`;
  button.textContent = text;
  setTimeout(() => {
    button.textContent = label;
    button.style.minWidth = "";
  }, 1500);
}
