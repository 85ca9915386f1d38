// What an exchange consists of, as elements: a part for each tab of its details.

import { bodyView } from "../shared/body.js";
import { h } from "../shared/dom.js";
import { formatCount, formatDuration, formatMoment, formatSize } from "../shared/format.js";
import { jsonTree, readJson } from "../shared/json_tree.js";
import { tracebackView } from "./traceback.js";

/** The parts of its time that an exchange's duration consists of. */
const SPANS = [
  ["queue_ms", "Queue", "waiting for a free thread", "queue"],
  ["view_ms", "View", "until the response began", "view"],
  ["streaming_ms", "Streaming", "until its last byte was sent", "streaming"],
];

/**
 * The tabs of an exchange's details, the first one first.
 *
 * @param {any} detail what the inspector tells of it
 * @returns {{name: string, title: string}[]}
 */
export function partsOf(detail) {
  const parts = [["response", "Response"], ["request", "Request"], ["output", "Output"], ["overview", "Overview"]];
  if (detail.session) parts.splice(3, 0, ["session", "Session"]);
  if (detail.traceback) parts.unshift(["traceback", "Traceback"]);
  return parts.map(([name, title]) => ({ name, title }));
}

/**
 * How the parts of a duration share it.
 *
 * @param {Record<string, number|null>} timing milliseconds, null where not known yet
 * @returns {{name: string, label: string, text: string, ms: number, share: number}[]} `share` of 1; those that are known
 */
export function timeShares(timing) {
  const known = SPANS.filter(([key]) => timing[key] !== null && timing[key] !== undefined);
  const total = known.reduce((sum, [key]) => sum + timing[key], 0);
  return known.map(([key, label, text, name]) => ({ name, label, text, ms: timing[key], share: total ? timing[key] / total : 0 }));
}

/**
 * What a request has changed in the session.
 *
 * @param {Record<string, any>|null} before
 * @param {Record<string, any>|null} after null: it was not changed
 * @returns {{name: string, before: string, after: string, change: "added"|"removed"|"changed"|""}[]} values as JSON
 */
export function sessionChanges(before, after) {
  const old = before ?? {};
  const now = after ?? old;
  return [...new Set([...Object.keys(old), ...Object.keys(now)])].map((name) => {
    const [one, other] = [old, now].map((values) => (Object.hasOwn(values, name) ? JSON.stringify(values[name]) : ""));
    let change = "";
    if (one !== other) change = one === "" ? "added" : other === "" ? "removed" : "changed";
    return { name, before: one, after: other, change };
  });
}

/**
 * A part of an exchange.
 *
 * @param {string} name one of {@link partsOf}
 * @param {any} detail
 * @param {{bytes: (name: "request-body"|"response-body") => (offset: number, limit: number) => Promise<any>}} from
 * @returns {HTMLElement[]}
 */
export function exchangePart(name, detail, from) {
  const parts = { response: responsePart, request: requestPart, output: outputPart, session: sessionPart, overview: overviewPart };
  return name === "traceback" ? [tracebackView(detail.traceback, detail.debug)] : parts[name](detail, from).filter(Boolean);
}

function responsePart({ response, row }, { bytes }) {
  if (response === null) return [h("p", { class: "flaskserve-dim" }, row.open ? "No response yet." : "There was no response.")];
  let content;
  if (row.kind === "websocket") {
    content = h("p", null, `${formatCount(row.in, "message")} in, ${formatCount(row.out, "message")} out. What they say is not kept.`);
  } else if (row.open && response.body.size === 0) {
    content = h("p", { class: "flaskserve-dim" }, "Nothing of the body has been sent yet.");
  } else {
    content = bodyView({ body: response.body, load: bytes("response-body"), title: "Response body" });
  }
  return [
    section("Body", null, content),
    section("Headers", response.headers.length, factTable("Response headers", response.headers)),
    response.cookies.length > 0 ? section("Cookies set", response.cookies.length, factTable(
      "Cookies that the response sets",
      response.cookies.map(([cookie, value, attributes, isMasked]) => [cookie, value, isMasked, attributes]),
    )) : null,
  ];
}

function requestPart({ request }, { bytes }) {
  const { body } = request;
  return [
    h("p", { class: "flaskserve-code flaskserve-exchange-url" }, `${request.method} ${request.url} ${request.version ?? ""}`),
    request.args.length > 0 ? section("Query", request.args.length, factTable("Query", request.args)) : null,
    body.kind !== "empty" && body.size > 0
      ? section(body.fields ? "Form" : "Body", null, bodyView({ body, load: bytes("request-body"), title: "Request body" })) : null,
    section("Headers", request.headers.length, factTable("Request headers", request.headers)),
    request.cookies.length > 0 ? section("Cookies", request.cookies.length, factTable("Request cookies", request.cookies)) : null,
    request.client ? h("p", { class: "flaskserve-dim" }, `From ${request.client}.`) : null,
  ];
}

function outputPart({ output, row }) {
  if (output.text === "" && !output.before) {
    return [h("p", { class: "flaskserve-dim" }, row.open ? "Nothing printed or logged yet." : "Nothing was printed or logged.")];
  }
  return [
    output.before ? h("p", { class: "flaskserve-dim" }, `${formatCount(output.before, "character")} before this are not kept.`) : null,
    h("pre", { class: "flaskserve-code" }, output.text),
  ];
}

function sessionPart({ session }) {
  const changes = sessionChanges(session.before, session.after);
  return [
    session.note ? h("p", { class: "flaskserve-dim" }, session.note) : null,
    changes.length === 0 ? (session.note ? null : h("p", { class: "flaskserve-dim" }, "The session is empty.")) : h(
      "table",
      { class: "flaskserve-table flaskserve-session", "aria-label": "Session" },
      h("thead", null, h("tr", null, ["Name", "Before", "After", ""].map((title) => h("th", { scope: "col" }, title || hiddenText("Change"))))),
      h("tbody", null, changes.map(({ name, before, after, change }) => h(
        "tr",
        null,
        h("th", { scope: "row" }, name),
        [before, after].map((value) => h("td", null, value === "" ? h("span", { class: "flaskserve-dim" }, "–") : shortTree(value))),
        h("td", { class: change ? "flaskserve-warning" : null }, change),
      ))),
    ),
  ];
}

function overviewPart({ timing, rule, arguments: viewArguments, row }) {
  const shares = timeShares(timing);
  const facts = [
    ["Endpoint", row.endpoint ?? "no rule matched"],
    ["Rule", rule],
    ...Object.entries(viewArguments ?? {}).map(([name, value]) => [`Argument ${name}`, value]),
    ["Began", formatMoment(row.at)],
    ["Number", String(row.n)],
    row.kind === "websocket" ? ["Messages", `${row.in} in, ${row.out} out`] : null,
    row.kind === "stream" ? ["Chunks", String(row.out)] : null,
    ["Sent", formatSize(row.size)],
  ].filter((fact) => fact !== null && fact[1]);
  return [
    factTable("Overview", facts.map(([name, value]) => [name, value, false])),
    shares.length > 0 ? section("Timing", null, h(
      "div",
      { class: "flaskserve-timing" },
      h(
        "div",
        { class: "flaskserve-timing-bar", role: "img", "aria-label": shares.map(({ label, ms }) => `${label} ${formatDuration(ms)}`).join(", ") },
        shares.map(({ name, share }) => h("span", { class: `flaskserve-timing-${name}`, style: { flexGrow: String(Math.max(share, 0.005)) } })),
      ),
      h(
        "table",
        { class: "flaskserve-table flaskserve-timing-table", "aria-label": "Timing" },
        h("tbody", null, shares.map(({ name, label, text, ms }) => h(
          "tr",
          null,
          h("th", { scope: "row" }, h("span", { class: `flaskserve-timing-key flaskserve-timing-${name}` }), label),
          h("td", { class: "flaskserve-number" }, formatDuration(ms)),
          h("td", { class: "flaskserve-dim" }, text),
        )), timing.total_ms === null ? null : h(
          "tr",
          null,
          h("th", { scope: "row" }, "Total"),
          h("td", { class: "flaskserve-number" }, formatDuration(timing.total_ms)),
          h("td"),
        )),
      ),
    )) : null,
  ];
}

// Whether a section is open, by its title: as it was left, for all exchanges alike.
const sectionsOpen = new Map();

function section(title, count, content) {
  const details = h(
    "details",
    { class: "flaskserve-section", open: sectionsOpen.get(title) ?? true, ontoggle: () => sectionsOpen.set(title, details.open) },
    h("summary", null, count === null ? title : `${title} (${count})`),
    content,
  );
  return details;
}

/** Names and values; what is masked is said to be, and notes stand beside. */
function factTable(label, facts) {
  if (facts.length === 0) return h("p", { class: "flaskserve-dim" }, "None.");
  return h(
    "table",
    { class: "flaskserve-table flaskserve-facts", "aria-label": label },
    h("tbody", null, facts.map(([name, value, isMasked, note]) => h(
      "tr",
      null,
      h("th", { scope: "row" }, name),
      h(
        "td",
        null,
        isMasked ? h("span", { class: "flaskserve-masked", title: "Masked" }, value || "********") : value,
        isMasked ? hiddenText(" (masked)") : null,
        note ? h("span", { class: "flaskserve-dim" }, ` ${note}`) : null,
      ),
    ))),
  );
}

/** A value of JSON: as it is written where it is short, else as a tree. */
function shortTree(json) {
  const node = readJson(json);
  return node === null || (json.length < 40) ? json : jsonTree(node);
}

function hiddenText(text) {
  return h("span", { class: "flaskserve-hidden" }, text);
}
