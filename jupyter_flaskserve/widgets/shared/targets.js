// Targets: the path and query of a request under the app's address, built and taken apart.
//
// Pure functions of strings. What a browser refuses to send is said here as well, so that a person hears of it
// before the request and not after.

import { canSendHeader } from "./inspector.js";

/**
 * One argument of a rule, as the inspector describes it.
 * @typedef {{name: string, converter: string, type: string, options?: string[], minimum?: number | null,
 *   maximum?: number | null, length?: number | null, shortest?: number | null, longest?: number | null, signed?: boolean,
 *   takes?: string, example?: string}} RuleArgument `length` counts a number's digits or a text's characters
 */

/**
 * A piece of a rule: text that stands as it is, or an argument.
 * @typedef {{text: string, kind: "static" | "argument", converter?: string | null, argument?: string | null}} RulePart
 */

const UUID_PATTERN = "[A-Fa-f0-9]{8}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{12}";
const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** The pattern of a UUID, for an input's `pattern`. */
export const uuidPattern = UUID_PATTERN;

/**
 * Percent-encodes one segment of a path (RFC 3986 §3.3): a slash does not survive as one.
 * @param {string} text
 * @returns {string}
 */
export function encodeSegment(text) {
  const readable = /%(?:3A|40|24|26|2B|2C|3B|3D)/g;
  return encodeURIComponent(text.replace(/\p{Surrogate}/gu, "\ufffd")).replace(readable, decodeURIComponent);
}

/**
 * The text that stands for a value in a path, as the argument's converter expects it.
 * @param {RuleArgument} argument
 * @param {string} value what a person typed
 * @returns {string}
 */
export function encodeArgument(argument, value) {
  switch (argument.type) {
    case "int":
      return encodeSegment(fixedDigits(value.trim(), argument.length));
    case "float":
      return encodeSegment(decimalText(value.trim()));
    case "path":
      return value.split("/").map(encodeSegment).join("/");
    default:
      return encodeSegment(value);
  }
}

function fixedDigits(text, digits) {
  return digits && /^\d+$/.test(text) ? text.padStart(digits, "0") : text;
}

/** Werkzeug's float converter wants digits on both sides of a point: 7 and 1e3 are written 7.0 and 1000.0. */
function decimalText(text) {
  if (!text || /^-?\d+\.\d+$/.test(text) || !Number.isFinite(Number(text))) return text;
  const plain = String(Number(text));
  if (plain.includes("e")) return Number(text).toFixed(20).replace(/0+$/, "").replace(/\.$/, ".0");
  return plain.includes(".") ? plain : `${plain}.0`;
}

/**
 * What is wrong with a value. `blocks` says that it cannot be sent at all; anything else can be, to see what the app says.
 * @param {RuleArgument} argument
 * @param {string} value
 * @returns {{text: string, blocks: boolean} | null}
 */
export function argumentProblem(argument, value) {
  const wants = { int: "a whole number", float: "a number", uuid: "a UUID" }[argument.type] ?? "a value";
  if (value.trim() === "") return { text: `Needs ${wants}.`, blocks: true };
  if (argument.type === "string" || argument.type === "path") {
    if (value.split("/").some((segment) => segment === "." || segment === "..")) {
      return { text: "A browser takes . and .. out of an address.", blocks: true };
    }
  }
  const text = mismatch(argument, value, wants);
  return text ? { text: `${text} The rule will not match.`, blocks: false } : null;
}

function mismatch(argument, value, wants) {
  if (argument.type === "int" || argument.type === "float") {
    const number = Number(value);
    if (!Number.isFinite(number) || (argument.type === "int" && !/^-?\d+$/.test(value.trim()))) return `Not ${wants}.`;
    if (number < 0 && !argument.signed) return "Negative.";
    if (argument.length && argument.type === "int" && value.trim().replace("-", "").length > argument.length) return `More than ${argument.length} digits.`;
    if (argument.minimum != null && number < argument.minimum) return `Less than ${argument.minimum}.`;
    if (argument.maximum != null && number > argument.maximum) return `More than ${argument.maximum}.`;
  } else if (argument.type === "uuid") {
    if (!new RegExp(`^${UUID_PATTERN}$`).test(value)) return "Not a UUID.";
  } else if (argument.type === "any") {
    if (argument.options?.length && !argument.options.includes(value)) return "Not one of the choices.";
  } else if (argument.type === "string") {
    if (value.includes("/")) return "Has a slash, which only a path argument takes.";
    if (argument.shortest != null && [...value].length < argument.shortest) return `Shorter than ${argument.shortest} characters.`;
    if (argument.longest != null && [...value].length > argument.longest) return `Longer than ${argument.longest} characters.`;
  }
  return "";
}

/**
 * The path of a rule with its arguments filled in.
 * @param {RulePart[]} parts
 * @param {RuleArgument[]} ruleArguments
 * @param {Record<string, string>} values
 * @returns {string}
 */
export function buildPath(parts, ruleArguments, values) {
  const byName = new Map(ruleArguments.map((argument) => [argument.name, argument]));
  return parts
    .map((part) => {
      if (part.kind !== "argument") return part.text.split("/").map(encodeSegment).join("/");
      const name = part.argument ?? "";
      return encodeArgument(byName.get(name) ?? { name, converter: "", type: "string" }, values[name] ?? "");
    })
    .join("");
}

/**
 * Takes a target apart. What is malformed stays as it is.
 * @param {string} target
 * @returns {{path: string, query: [string, string][]}} the query's names and values are decoded
 */
export function splitTarget(target) {
  const [withoutFragment] = target.split("#");
  const mark = withoutFragment.indexOf("?");
  if (mark < 0) return { path: withoutFragment, query: [] };
  return { path: withoutFragment.slice(0, mark), query: parsePairs(withoutFragment.slice(mark + 1)) };
}

/**
 * Puts a path and a query together.
 * @param {string} path
 * @param {[string, string][]} query pairs with neither name nor value are left out
 * @returns {string}
 */
export function joinTarget(path, query) {
  const text = encodePairs(query);
  return text ? `${path}?${text}` : path;
}

/**
 * Reads `application/x-www-form-urlencoded` text.
 * @param {string} text
 * @returns {[string, string][]}
 */
export function parsePairs(text) {
  return text
    .split("&")
    .filter((piece) => piece !== "")
    .map((piece) => {
      const equals = piece.indexOf("=");
      return equals < 0
        ? [decodePiece(piece), ""]
        : [decodePiece(piece.slice(0, equals)), decodePiece(piece.slice(equals + 1))];
    });
}

function decodePiece(piece) {
  const spaced = piece.replaceAll("+", " ");
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced;
  }
}

/**
 * Writes `application/x-www-form-urlencoded` text.
 * @param {[string, string][]} pairs
 * @returns {string}
 */
export function encodePairs(pairs) {
  const encode = (text) => encodeURIComponent(text.replace(/\p{Surrogate}/gu, "\ufffd")).replace(/%(?:2F|3A|40|2C)/g, decodeURIComponent);
  return pairs
    .filter(([name, value]) => name !== "" || value !== "")
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .join("&");
}

/**
 * What a person may type or paste as a target (a path, or a whole URL of the app), as a target under the app's address.
 * @param {string} text
 * @param {string} address the app's URL path, ends with "/"
 * @returns {string}
 */
export function readTarget(text, address) {
  let target = text.trim();
  const whole = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i.exec(target);
  if (whole) {
    target = target.slice(whole[0].length) || "/";
    const prefix = address.replace(/\/$/, "");
    if (prefix && (target === prefix || target.startsWith(`${prefix}/`) || target.startsWith(`${prefix}?`))) {
      target = target.slice(prefix.length);
    }
  }
  return target.startsWith("/") ? target : `/${target}`;
}

/**
 * Why a header cannot be sent, or what becomes of it; "" where it is sent as it is.
 * @param {string} name
 * @param {string} value
 * @returns {{text: string, blocks: boolean} | null} `blocks`: the request cannot be sent; else the header is left out
 */
export function headerProblem(name, value) {
  if (name === "") return value === "" ? null : { text: "Needs a name.", blocks: true };
  if (!HEADER_NAME.test(name)) return { text: "Not a header name: letters, digits and hyphens only.", blocks: true };
  if (/[\0\r\n]|[^\0-\xff]/.test(value)) return { text: "A header is one line of Latin-1 characters.", blocks: true };
  if (!canSendHeader(name)) return { text: "The browser sets this one itself, so it is left out.", blocks: false };
  return null;
}
