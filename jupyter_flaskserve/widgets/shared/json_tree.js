// JSON as a tree that opens and closes.
//
// The text is read here and not by JSON.parse, which rounds long numbers, puts keys that look like
// numbers first and drops keys that come twice: a person who looks for a mistake is to see what was sent.

import { h } from "./dom.js";

/**
 * A value of JSON text. `text` is a number as it is written, or what a string says.
 * @typedef {{kind: "object", entries: [string, JsonNode][]} | {kind: "array", items: JsonNode[]}
 *   | {kind: "string" | "number" | "word", text: string}} JsonNode
 */

const JSON_SPACE = /[ \t\r\n]*/y;
const JSON_STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const JSON_NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const JSON_WORD = /true|false|null/y;

/** Items of a long array or object that are shown at once. */
export const TREE_PAGE = 100;

/** A tree of so many values or fewer is open from the start. */
const OPEN_AT_MOST = 60;

/**
 * Reads JSON text (RFC 8259).
 *
 * @param {string} text
 * @returns {JsonNode|null} `null` where it is not JSON
 */
export function readJson(text) {
  let at = text.startsWith("\ufeff") ? 1 : 0;
  const take = (pattern) => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found === null) return null;
    at += found[0].length;
    return found[0];
  };
  const takeCharacter = (character) => {
    take(JSON_SPACE);
    if (text[at] !== character) return false;
    at += 1;
    return true;
  };
  const takeString = () => {
    take(JSON_SPACE);
    const found = take(JSON_STRING);
    return found === null ? null : JSON.parse(found);
  };
  const root = { kind: "array", items: [] };
  const open = [root]; // the arrays and objects that are not closed yet: nesting is no recursion here
  let key = null;
  const put = (node) => {
    const parent = open[open.length - 1];
    if (parent.kind === "array") parent.items.push(node);
    else parent.entries.push([key, node]);
  };
  let isValueNext = true;
  for (;;) {
    if (isValueNext) {
      take(JSON_SPACE);
      const first = text[at];
      if (first === "{" || first === "[") {
        at += 1;
        const node = first === "{" ? { kind: "object", entries: [] } : { kind: "array", items: [] };
        put(node);
        if (takeCharacter(first === "{" ? "}" : "]")) {
          isValueNext = false;
          continue;
        }
        open.push(node);
        if (first === "{") {
          key = takeString();
          if (key === null || !takeCharacter(":")) return null;
        }
        continue;
      }
      const string = first === '"' ? takeString() : null;
      if (string !== null) {
        put({ kind: "string", text: string });
      } else {
        const number = take(JSON_NUMBER);
        const word = number === null ? take(JSON_WORD) : null;
        if (number === null && word === null) return null;
        put(number === null ? { kind: "word", text: word } : { kind: "number", text: number });
      }
      isValueNext = false;
      continue;
    }
    const parent = open[open.length - 1];
    if (parent === root) break;
    if (takeCharacter(",")) {
      if (parent.kind === "object") {
        key = takeString();
        if (key === null || !takeCharacter(":")) return null;
      }
      isValueNext = true;
    } else if (takeCharacter(parent.kind === "object" ? "}" : "]")) {
      open.pop();
    } else {
      return null;
    }
  }
  take(JSON_SPACE);
  return at === text.length ? root.items[0] : null;
}

/**
 * Puts each value of JSON text on a line of its own. Nothing but space is another: numbers keep their digits.
 *
 * @param {string} text valid JSON
 * @returns {string}
 */
export function indentJson(text) {
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  return text.replace(/("[^"\\]*(?:\\.[^"\\]*)*")|\s+|([[{])(?:\s*([\]}]))?|[\]}]|[,:]/g, (piece, string, open, close) => {
    if (string) return string;
    if (open) {
      if (close) return open + close;
      depth += 1;
      return open + line();
    }
    if (piece === ",") return piece + line();
    if (piece === ":") return ": ";
    if (piece.trim() === "") return "";
    depth -= 1;
    return line() + piece;
  });
}

/**
 * What a closed array or object says of itself.
 *
 * @param {JsonNode} node
 * @returns {string}
 */
export function nodeSummary(node) {
  if (node.kind === "object") return node.entries.length === 1 ? "{1 key}" : `{${node.entries.length} keys}`;
  if (node.kind === "array") return node.items.length === 1 ? "[1 item]" : `[${node.items.length} items]`;
  return node.text;
}

/** @param {JsonNode} node @returns {[string, JsonNode][]} */
function childrenOf(node) {
  if (node.kind === "object") return node.entries;
  return node.kind === "array" ? node.items.map((item, index) => [String(index), item]) : [];
}

/** How many values are in a tree; stops counting at a limit. */
function countNodes(node, limit) {
  let count = 0;
  const left = [node];
  while (left.length && count < limit) {
    count += 1;
    for (const [, child] of childrenOf(left.pop()).slice(0, limit)) left.push(child);
  }
  return count;
}

/**
 * A tree as an element.
 *
 * @param {JsonNode} node
 * @returns {HTMLElement}
 */
export function jsonTree(node) {
  const isOpen = countNodes(node, OPEN_AT_MOST + 1) <= OPEN_AT_MOST;
  return h("div", { class: "flaskserve-json" }, branch(null, node, node.kind === "array", isOpen ? Infinity : 1));
}

/** One value, with its key, and `depth` levels of it open. */
function branch(key, node, isItem, depth) {
  const label = key === null ? null : [
    h("span", { class: isItem ? "flaskserve-json-index" : "flaskserve-json-key" }, isItem ? key : JSON.stringify(key)),
    ": ",
  ];
  const children = childrenOf(node);
  if (children.length === 0) return h("div", { class: "flaskserve-json-leaf" }, label, leaf(node));
  const inside = h("div", { class: "flaskserve-json-inside" });
  const details = h(
    "details",
    { open: depth > 0 },
    h("summary", null, label, h("span", { class: "flaskserve-json-summary" }, nodeSummary(node))),
    inside,
  );
  const fill = () => {
    if (inside.childNodes.length === 0) addPage(inside, children, node.kind === "array", 0, depth - 1);
  };
  if (depth > 0) fill();
  details.addEventListener("toggle", () => details.open && fill());
  return details;
}

/** Adds the next children, and a button for those after them. */
function addPage(inside, children, isItem, start, depth) {
  const end = Math.min(children.length, start + TREE_PAGE);
  for (const [key, child] of children.slice(start, end)) inside.append(branch(key, child, isItem, depth));
  if (end === children.length) return;
  const more = h(
    "button",
    {
      type: "button",
      class: "flaskserve-button flaskserve-json-more",
      onclick: () => {
        const last = inside.children.length - 1;
        more.remove();
        addPage(inside, children, isItem, end, 0);
        const next = inside.children[last];
        (next.querySelector("summary") ?? inside.querySelector(":scope > .flaskserve-json-more"))?.focus();
      },
    },
    `Show ${Math.min(TREE_PAGE, children.length - end)} more of ${children.length - end}`,
  );
  inside.append(more);
}

function leaf(node) {
  if (node.kind === "string") return h("span", { class: "flaskserve-json-string" }, JSON.stringify(node.text));
  if (node.kind === "object") return h("span", { class: "flaskserve-json-summary" }, "{}");
  if (node.kind === "array") return h("span", { class: "flaskserve-json-summary" }, "[]");
  return h("span", { class: `flaskserve-json-${node.kind}` }, node.text);
}
