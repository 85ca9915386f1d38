// Files for the reader to keep.

import { h } from "./dom.js";

/**
 * Lets the browser save JSON as a file.
 *
 * @param {string} name the file's
 * @param {string|Uint8Array} json
 */
export function downloadJson(name, json) {
  const address = URL.createObjectURL(new Blob([json], { type: "application/json" }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
