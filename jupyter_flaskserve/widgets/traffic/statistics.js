// Counts, rates and percentiles of each endpoint, refreshed while they are looked at.

import { h } from "../shared/dom.js";
import { formatCount, formatDuration } from "../shared/format.js";
import { sparkline } from "../shared/sparkline.js";

const REFRESH = 1000; // milliseconds

/**
 * What is known of an endpoint's requests.
 * @typedef {{endpoint: string, count: number, errors: number, p50: number|null, p95: number|null, p99: number|null,
 *   rate: number, per_second: number[]}} EndpointStatistics
 */

/**
 * A chart of requests per second in words.
 *
 * @param {number[]} perSecond the oldest first
 * @returns {string}
 */
export function chartText(perSecond) {
  const total = perSecond.reduce((sum, value) => sum + value, 0);
  const span = `in the last ${perSecond.length} s`;
  if (total === 0) return `No request ${span}`;
  return `${formatCount(total, "request")} ${span}, at most ${Math.max(...perSecond)} in one second`;
}

/**
 * A rate of requests per second.
 *
 * @param {number} rate
 * @returns {string}
 */
export function rateText(rate) {
  if (rate === 0) return "0";
  return rate < 10 ? rate.toFixed(1) : Math.round(rate).toLocaleString("en");
}

/** The table. It asks the kernel once in a second while it is open, and only then. */
export class StatisticsView {
  #timer = null;
  #isClosed = true;

  constructor(inspector) {
    this.inspector = inspector;
    this.rows = h("tbody");
    this.note = h("p", { class: "flaskserve-dim", role: "status", hidden: true });
    const heads = [
      ["Endpoint", ""], ["Count", "number"], ["Errors", "number"], ["Rate/s", "number flaskserve-rate"], ["Last 60 s", "chart"],
      ["p50", "number"], ["p95", "number"], ["p99", "number"],
    ];
    this.element = h(
      "div",
      { class: "flaskserve-statistics", hidden: true, tabindex: "0", role: "region", "aria-label": "Statistics" },
      h(
        "table",
        { class: "flaskserve-table", "aria-label": "Requests by endpoint" },
        h("thead", null, h("tr", null, heads.map(([text, kind]) => h(
          "th",
          { scope: "col", class: kind && `flaskserve-${kind}`, title: /^p\d/.test(text) ? `${text.slice(1)} % of the requests took no longer` : null },
          text,
        )))),
        this.rows,
      ),
      this.note,
    );
  }

  open() {
    this.element.hidden = false;
    this.#isClosed = false;
    this.#refresh();
  }

  close() {
    this.element.hidden = true;
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  async #refresh() {
    clearTimeout(this.#timer);
    if (this.inspector.visible) {
      try {
        const { all, endpoints } = await this.inspector.get("statistics");
        this.#show(all, endpoints);
      } catch (error) {
        this.note.textContent = error.message;
        this.note.hidden = false;
      }
    }
    if (this.#isClosed) return;
    clearTimeout(this.#timer); // of another opening
    this.#timer = setTimeout(() => this.#refresh(), REFRESH);
  }

  #show(all, endpoints) {
    const lines = endpoints.length === 1 ? endpoints : [{ ...all, endpoint: null }, ...endpoints];
    this.rows.replaceChildren(...(all.count ? lines : []).map((line) => this.#line(line)));
    this.note.textContent = all.count ? "" : "No request has ended yet.";
    this.note.hidden = all.count > 0;
  }

  #line({ endpoint, count, errors, rate, per_second: perSecond, p50, p95, p99 }) {
    const number = (text, kind) => h("td", { class: `flaskserve-number${kind ? ` ${kind}` : ""}` }, text);
    const name = endpoint === null ? "All" : endpoint || "(no rule matched)";
    return h(
      "tr",
      { class: endpoint === null ? "flaskserve-statistics-all" : null },
      h("th", { scope: "row", class: endpoint ? "flaskserve-code" : null }, name),
      number(count.toLocaleString("en")),
      number(errors.toLocaleString("en"), errors ? "flaskserve-bad" : ""),
      number(rateText(rate), "flaskserve-rate"),
      h("td", { class: "flaskserve-chart" }, sparkline(perSecond, { label: chartText(perSecond) })),
      [p50, p95, p99].map((ms) => number(formatDuration(ms) || "–")),
    );
  }
}
