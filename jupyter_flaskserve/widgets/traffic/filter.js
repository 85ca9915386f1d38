// Which rows are shown: words to be found in them, a method, and what became of them.

import { formatCount } from "../shared/format.js";

/**
 * One word of a filter's text.
 * @typedef {{field: "" | "path" | "endpoint" | "status" | "method" | "failed", text: string, isExcluded: boolean}} FilterTerm
 */

/**
 * @typedef {{terms: FilterTerm[], method: string, outcome: string}} RowFilter
 */

/** What may have become of a request: the values and the texts of a list box. */
export const OUTCOMES = [
  ["", "Status"],
  ["2", "2xx success"],
  ["3", "3xx redirect"],
  ["4", "4xx client error"],
  ["5", "5xx server error"],
  ["open", "Open"],
  ["failed", "Failed"],
];

/**
 * Reads the text of a filter: words, all of which must be found. `path:/api`, `endpoint:`, `status:`, `method:`
 * and `failed:` look in one place, a `-` before a word excludes, quotes hold words together.
 *
 * @param {string} text
 * @returns {FilterTerm[]}
 */
export function readFilter(text) {
  const terms = [];
  for (const [, minus, field, quoted, plain] of text.matchAll(/(-?)(?:(path|endpoint|status|method|failed):)?(?:"([^"]*)"?|(\S+))/gi)) {
    const word = (quoted ?? plain).toLowerCase();
    if (word !== "") terms.push({ field: (field ?? "").toLowerCase(), text: word, isExcluded: minus === "-" });
  }
  return terms;
}

/**
 * Whether a row passes a filter.
 *
 * @param {import("./log.js").Row} row
 * @param {RowFilter} filter
 * @returns {boolean}
 */
export function passesFilter(row, { terms, method, outcome }) {
  if (method && row.method !== method) return false;
  if (outcome && !hasOutcome(row, outcome)) return false;
  return terms.every(({ field, text, isExcluded }) => placesOf(row, field).some((place) => place.includes(text)) !== isExcluded);
}

function hasOutcome(row, outcome) {
  if (outcome === "open") return row.open;
  if (outcome === "failed") return isFailed(row);
  return row.status !== null && String(Math.floor(row.status / 100)) === outcome;
}

/**
 * Whether a request went wrong on the app's side.
 *
 * @param {import("./log.js").Row} row
 * @returns {boolean}
 */
export function isFailed(row) {
  return row.failed !== "" || (row.status ?? 0) >= 500;
}

const searched = new WeakMap(); // by row: its texts in lower case

function placesOf(row, field) {
  let places = searched.get(row);
  if (places === undefined) {
    places = {
      path: row.path.toLowerCase(),
      endpoint: (row.endpoint ?? "").toLowerCase(),
      status: statusText(row).toLowerCase(),
      method: row.method.toLowerCase(),
      failed: row.failed.toLowerCase(),
    };
    searched.set(row, places);
  }
  return field === "" ? Object.values(places) : [places[field]];
}

/**
 * What became of a request, in a word.
 *
 * @param {import("./log.js").Row} row
 * @returns {string}
 */
export function statusText(row) {
  if (row.status !== null) return String(row.status);
  if (row.open) return "open";
  return row.failed ? "failed" : "none";
}

/**
 * The class of a status: "1" to "5", or "" while there is none.
 *
 * @param {import("./log.js").Row} row
 * @returns {string}
 */
export function statusLevel(row) {
  if (isFailed(row)) return "5";
  return row.status === null ? "" : String(Math.floor(row.status / 100));
}

/**
 * How many rows are shown of how many.
 *
 * @param {number} shown
 * @param {number} all
 * @returns {string}
 */
export function countText(shown, all) {
  return shown === all ? formatCount(all, "request") : `${shown.toLocaleString("en")} of ${formatCount(all, "request")}`;
}

/**
 * What is not to be seen, and why.
 *
 * @param {{missed: number, gone: number}} log
 * @returns {string} empty where all is to be seen
 */
export function missingText({ missed, gone }) {
  const sentences = [];
  if (missed > 0) {
    const were = missed === 1 ? "was" : "were";
    sentences.push(`${formatCount(missed, "request")} ${were} not shown: more came than are kept.`);
  }
  if (gone > missed) {
    const [earlier, are] = gone - missed === 1 ? ["earlier request", "is"] : ["earlier requests", "are"];
    sentences.push(`${(gone - missed).toLocaleString("en")} ${earlier} ${are} no longer kept.`);
  }
  return sentences.join(" ");
}

/**
 * What has come, for screen readers.
 *
 * @param {number} count
 * @param {number} failed how many of them failed
 * @returns {string}
 */
export function newsText(count, failed) {
  return formatCount(count, "new request") + (failed > 0 ? `, ${failed.toLocaleString("en")} failed` : "");
}
