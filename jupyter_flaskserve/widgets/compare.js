/** The servers that were compared: who does what, who talks to whom, and how fast. */

import { announce, h, svg, uid } from "./shared/dom.js";
import { keepKeys } from "./shared/keys.js";

const LENGTH = 2400; // milliseconds in which a request's way is shown
const NARROW = 560; // pixels, below which the boxes stand one below the other
const BOX = { width: 150, height: 52 };
const GAP = 86; // pixels between two boxes
const EDGE = 14; // pixels around the boxes, where a process's frame is

const SIGNS = {
  yes: { sign: "✓", text: "yes", tone: "good" },
  no: { sign: "✗", text: "no", tone: "bad" },
  partly: { sign: "◐", text: "partly", tone: "warning" },
  "does not apply": { sign: "–", text: "does not apply", tone: "dim" },
  "not measured": { sign: "?", text: "not measured", tone: "dim" },
};

/**
 * A time as people read it.
 *
 * @param {number} seconds
 * @returns {string}
 */
export function duration(seconds) {
  const milliseconds = seconds * 1000;
  if (milliseconds >= 999.5) return `${seconds.toFixed(2)} s`;
  if (milliseconds >= 9.95) return `${Math.round(milliseconds)} ms`;
  return `${milliseconds.toFixed(milliseconds >= 0.0995 ? 1 + (milliseconds < 0.995) : 3)} ms`;
}

/**
 * When a request was on its way to which place, as parts of the whole time. Between the client and the
 * app nothing is known of the places, so they share the time.
 *
 * @param {{reached: number, left: number, returned: number}} passage in seconds
 * @param {number} count how many places there are, the client and the app included
 * @returns {{from: number, to: number, start: number, end: number}[]} from which place to which; the
 *   same twice while the app works
 */
export function legs(passage, count) {
  const whole = passage.returned;
  const left = Math.min(passage.left, whole);
  const found = [];
  const hops = count - 1;
  const walk = (start, end, places) => {
    for (let hop = 0; hop < hops; hop += 1) {
      const step = (end - start) / hops;
      found.push({
        from: places(hop), to: places(hop + 1),
        start: (start + hop * step) / whole, end: (start + (hop + 1) * step) / whole,
      });
    }
  };
  walk(0, passage.reached, (place) => place);
  found.push({ from: hops, to: hops, start: passage.reached / whole, end: left / whole });
  walk(left, whole, (place) => hops - place);
  return found;
}

/**
 * Consecutive places that are one process, where there are several.
 *
 * @param {{process: string}[]} places
 * @returns {[number, number][]} the first and the last of each
 */
export function processes(places) {
  const found = [];
  let first = 0;
  for (let place = 1; place <= places.length; place += 1) {
    if (place === places.length || places[place].process !== places[first].process) {
      if (place - first > 1) found.push([first, place - 1]);
      first = place;
    }
  }
  return found;
}

/**
 * The diagram in words: each place with how it is reached, and which of them are one process.
 *
 * @param {{title: string, link: string, process: string, copies: number}[]} places
 * @returns {string}
 */
export function inWords(places) {
  const way = places.map(({ title, link }) => (link ? `by ${link} to ${title}` : title)).join(", ");
  const frames = processes(places).map(([first, last]) => {
    const titles = places.slice(first, last + 1).map(({ title }) => title);
    return `${titles.join(" and ")}: ${manyProcesses(places[last].copies)}`;
  });
  return ["Who talks to whom: " + way, ...frames].join(". ");
}

/** The diagram of one row. */
class Diagram {
  constructor(places, label) {
    this.places = places;
    this.boxes = [];
    this.lines = [];
    this.element = h("div", { class: "flaskserve-diagram" });
    this.label = label;
    this.isNarrow = null;
    this.timer = 0;
    this.observer = new ResizeObserver(([{ contentRect }]) => this.fit(contentRect.width));
    this.observer.observe(this.element);
  }

  fit(width) {
    const isNarrow = width < NARROW;
    if (isNarrow === this.isNarrow || width === 0) return;
    this.isNarrow = isNarrow;
    this.draw();
  }

  draw() {
    const { places, isNarrow } = this;
    const pitch = (isNarrow ? BOX.height : BOX.width) + GAP;
    const length = pitch * places.length - GAP + 2 * EDGE;
    const breadth = (isNarrow ? BOX.width : BOX.height) + 2 * EDGE + 14;
    const [width, height] = isNarrow ? [breadth + 80, length + 14] : [length, breadth];
    const at = (place) => (isNarrow ? { x: 40 + EDGE, y: EDGE + 14 + place * pitch } : { x: EDGE + place * pitch, y: EDGE + 14 });
    const arrow = uid("arrow");
    const drawing = svg(
      "svg",
      { viewBox: `0 0 ${width} ${height}`, style: { maxWidth: `${width * 1.15}px` }, role: "img", "aria-label": this.label },
      svg(
        "marker", { id: arrow, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto-start-reverse" },
        svg("path", { d: "M0 0 L8 4 L0 8 z", class: "flaskserve-arrow" }),
      ),
    );
    for (const [first, last] of processes(places)) {
      const [start, end] = [at(first), at(last)];
      drawing.append(
        svg("rect", {
          class: "flaskserve-process", x: start.x - 8, y: start.y - 8, rx: 8,
          width: end.x - start.x + BOX.width + 16, height: end.y - start.y + BOX.height + 16,
        }),
        svg("text", { class: "flaskserve-process-name", x: isNarrow ? start.x + BOX.width / 2 + 10 : start.x - 4, y: start.y - 12 }, manyProcesses(places[last].copies)),
      );
    }
    this.lines = places.slice(1).map((place, index) => {
      const [start, end] = [at(index), at(index + 1)];
      const points = isNarrow
        ? { x1: start.x + BOX.width / 2, y1: start.y + BOX.height + 3, x2: end.x + BOX.width / 2, y2: end.y - 3 }
        : { x1: start.x + BOX.width + 3, y1: start.y + BOX.height / 2, x2: end.x - 3, y2: end.y + BOX.height / 2 };
      const line = svg("line", { class: "flaskserve-hop", ...points, "marker-end": `url(#${arrow})`, "marker-start": `url(#${arrow})` });
      const words = place.link.split(", ");
      const [x, y] = isNarrow
        ? [points.x1 + 10, (points.y1 + points.y2) / 2 + 4]
        : [(points.x1 + points.x2) / 2, points.y1 - 7];
      const texts = words.map((word, number) => svg(
        "text",
        { class: "flaskserve-link", x, y: isNarrow ? y + (number - (words.length - 1) / 2) * 13 : y + (number ? 20 : 0), "text-anchor": isNarrow ? "start" : "middle" },
        word,
      ));
      drawing.append(line, ...texts);
      return line;
    });
    this.boxes = places.map((place, index) => {
      const { x, y } = at(index);
      const words = twoLines(place.title);
      const box = svg(
        "g", { class: `flaskserve-box flaskserve-place-${place.kind}` },
        svg("rect", { x, y, rx: 6, width: BOX.width, height: BOX.height }),
        words.map((word, number) => svg(
          "text",
          { x: x + BOX.width / 2, y: y + BOX.height / 2 + 4 + (number - (words.length - 1) / 2) * 15, "text-anchor": "middle" },
          word,
        )),
      );
      drawing.append(box);
      return box;
    });
    this.element.replaceChildren(drawing);
  }

  /** Lights up where a request is; nothing where that is `null`. */
  light(leg) {
    this.boxes.forEach((box, place) => box.classList.toggle("flaskserve-lit", leg !== null && place === leg.to));
    this.lines.forEach((line, index) => {
      line.classList.toggle("flaskserve-lit", leg !== null && leg.from !== leg.to && index === Math.min(leg.from, leg.to));
    });
  }

  /** Shows the way of a request again, slowly. */
  play(passage) {
    clearTimeout(this.timer);
    const way = legs(passage, this.places.length);
    const next = (number) => {
      const leg = way[number] ?? null;
      this.light(leg);
      if (leg === null) return;
      // What was too short to be seen is shown a little.
      this.timer = setTimeout(next, Math.max((leg.end - leg.start) * LENGTH, 160), number + 1);
    };
    next(0);
  }

  close() {
    clearTimeout(this.timer);
    this.observer.disconnect();
  }
}

function manyProcesses(count) {
  return count === 1 ? "one process" : `${count} processes, each with an app`;
}

function twoLines(title) {
  if (title.length <= 17) return [title];
  const middle = title.lastIndexOf(" ", 17);
  return middle > 0 ? [title.slice(0, middle), title.slice(middle + 1)] : [title];
}

/** The widget. */
function render({ model, el }) {
  el.classList.add("flaskserve-panel", "flaskserve-compare");
  keepKeys(el);

  let chosen = null; // the key of the row that a person has chosen
  let shown = null; // the key of the row below the table
  let diagram = null;
  let drawn = ""; // what the part below the table was made of
  let told = ""; // the same of its files
  let played = null; // whose request's way was shown by itself
  let wasRunning = false; // whether there was a step to do the last time

  const bar = h("progress", { max: 1, value: 0, "aria-label": "How far the comparison is" });
  const words = h("span");
  const status = h("div", { class: "flaskserve-toolbar", hidden: true }, bar, words);
  const notice = h("p", { class: "flaskserve-notice", hidden: true });
  const heads = h("tr");
  const body = h("tbody");
  const table = h(
    "div", { class: "flaskserve-scroll", tabindex: "0", role: "region", "aria-label": "Who does what" },
    h("table", { class: "flaskserve-table" }, h("thead", null, heads), body),
  );
  const heading = uid("heading");
  const title = h("h4", { id: heading });
  const way = h("div", { class: "flaskserve-way" });
  const evidence = h("dl", { class: "flaskserve-evidence" });
  const files = h("div");
  const one = h("section", { "aria-labelledby": heading, hidden: true }, title, way, evidence, files);
  // What a person looks at closely stays, also while the next servers are measured.
  for (const event of ["focusin", "toggle"]) one.addEventListener(event, stay, true);
  const chartHeading = uid("chart");
  const bars = h("ul", { class: "flaskserve-bars" });
  const chart = h(
    "section", { "aria-labelledby": chartHeading, hidden: true },
    h("h4", { id: chartHeading }, "Requests a second"), bars, h("p", { class: "flaskserve-dim flaskserve-load" }),
  );
  el.append(status, notice, table, one, chart);

  const rows = new Map(); // by key: its elements

  function build({ columns, rows: given }) {
    rows.clear();
    heads.replaceChildren(
      h("th", { scope: "col" }, "Server"),
      ...columns.map((column) => h("th", { scope: "col", title: column.question }, column.title)),
    );
    body.replaceChildren(...given.map((row) => {
      const button = h(
        "button", { type: "button", class: "flaskserve-button flaskserve-quiet flaskserve-server", "aria-pressed": "false", onclick: () => choose(row.key) },
        row.title,
      );
      const line = h("tr", { onclick: () => choose(row.key) }, h("th", { scope: "row" }, button));
      rows.set(row.key, { button, line, state: "" });
      return line;
    }));
  }

  function fill(row, columns) {
    const parts = rows.get(row.key);
    const state = JSON.stringify([row.remark, row.cells]);
    if (parts.state === state) return;
    parts.state = state;
    const cells = row.remark
      ? [h("td", { colspan: columns.length, class: "flaskserve-dim" }, row.remark)]
      : columns.map(({ key }) => mark(row.cells[key]));
    parts.line.replaceChildren(parts.line.firstChild, ...cells);
  }

  function mark(cell) {
    if (!cell) return h("td", { class: "flaskserve-dim" }, h("span", { "aria-hidden": "true" }, "·"), h("span", { class: "flaskserve-hidden" }, "not measured yet"));
    const { sign, text, tone } = SIGNS[cell.state];
    return h("td", { class: `flaskserve-${tone}`, title: cell.evidence }, h("span", { "aria-hidden": "true" }, `${sign} `), text);
  }

  function stay() {
    chosen ??= shown;
  }

  function choose(key) {
    chosen = key;
    update();
  }

  /** What stands below the table: one row in full. */
  function detail(row, columns) {
    one.hidden = false;
    const isOther = shown !== row.key;
    shown = row.key;
    for (const [key, { button, line }] of rows) {
      button.setAttribute("aria-pressed", String(key === row.key));
      line.classList.toggle("flaskserve-chosen", key === row.key);
    }
    const state = JSON.stringify([row.key, row.remark, row.cells, row.passage]);
    if (state !== drawn) {
      const hadPassage = !isOther && played === row.key;
      drawn = state;
      title.textContent = row.title;
      if (isOther || (row.passage && !hadPassage)) drawWay(row);
      evidence.replaceChildren(...columns.filter(({ key }) => row.cells[key]).flatMap(({ key, title: name, question }) => {
        const { sign, text, tone } = SIGNS[row.cells[key].state];
        return [
          h("dt", { title: question }, `${name}: `, h("span", { class: `flaskserve-${tone}` }, h("span", { "aria-hidden": "true" }, `${sign} `), text)),
          h("dd", null, row.cells[key].evidence),
        ];
      }));
    }
    const texts = JSON.stringify([row.key, row.configuration]);
    if (texts !== told) {
      told = texts;
      const { command, ...named } = row.configuration;
      const given = Object.entries(command === undefined ? named : { command, ...named });
      files.replaceChildren(...given.map(([name, text]) => h(
        "details", null, h("summary", null, name === "command" ? "How it was started" : name), h("pre", { class: "flaskserve-code", tabindex: "0" }, text),
      )));
    }
  }

  function drawWay(row) {
    diagram?.close();
    diagram = new Diagram(row.places, inWords(row.places));
    way.replaceChildren(diagram.element);
    played = null;
    if (row.remark) way.append(h("p", { class: "flaskserve-notice" }, row.remark));
    if (!row.passage) return;
    played = row.key;
    const { path, status: code, reached, left, returned, pid } = row.passage;
    // A client may have read all before the app's own code has come to its end.
    const rest = left < returned
      ? `${duration(left - reached)} in it, ${duration(returned - left)} back`
      : `${duration(returned - reached)} in it and back`;
    const slower = Math.max(Math.round(LENGTH / 1000 / returned), 1);
    way.append(
      h(
        "p", { class: "flaskserve-toolbar" },
        h("button", { type: "button", class: "flaskserve-button", onclick: () => diagram.play(row.passage) }, "Show its way again"),
        h(
          "span", null,
          `One real request, GET ${path}, answered with ${code} by the app in process ${pid}: `,
          `${duration(reached)} to the app, ${rest}.`,
        ),
      ),
      h(
        "p", { class: "flaskserve-dim flaskserve-note-below" },
        `These times were recorded, and are shown about ${slower.toLocaleString("en")} times slower.`,
        row.places.length > 2 ? " What lies between the client and the app was not timed; the boxes there share the time." : "",
      ),
    );
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) diagram.play(row.passage);
  }

  function drawChart(given) {
    const loaded = given.filter((row) => row.throughput);
    chart.hidden = loaded.length === 0;
    if (chart.hidden) return;
    // Calls without any connection are another thing, and would dwarf the rest.
    const measured = loaded.filter((row) => row.throughput.connections);
    const calls = loaded.filter((row) => !row.throughput.connections);
    const most = Math.max(...measured.map((row) => row.throughput.per_second), 1);
    bars.replaceChildren(...measured.map((row) => {
      const { per_second: rate, median, failed } = row.throughput;
      const notes = [
        median === null ? "none answered" : `median ${duration(median)}`,
        failed ? `${failed} failed` : "",
      ].filter(Boolean).join(", ");
      return h(
        "li", null,
        h("span", { class: "flaskserve-speed-name" }, row.title),
        h("span", { class: "flaskserve-speed", "aria-hidden": "true" }, h("span", { style: { width: `${(100 * rate) / most}%` } })),
        h("span", { class: "flaskserve-speed-number" }, Math.round(rate).toLocaleString("en")),
        h("span", { class: "flaskserve-dim" }, notes),
      );
    }));
    const load = measured[0]?.throughput;
    chart.lastChild.textContent = [
      load ? `GET ${load.path || "of a page of the probe's own, since the app has none there"}, ${load.connections} connections, a short load on this machine: good for comparing these rows, and for nothing else.` : "",
      ...calls.map((row) => `${row.title}: ${Math.round(row.throughput.per_second).toLocaleString("en")} calls a second.`),
    ].join(" ");
  }

  function update() {
    const comparison = model.get("comparison");
    if (!comparison?.rows) return;
    const { columns, rows: given } = comparison;
    if (given.some((row) => !rows.has(row.key)) || rows.size !== given.length) build(comparison);
    for (const row of given) fill(row, columns);
    const turn = model.get("step")?.key;
    const row = given.find(({ key }) => key === (chosen ?? turn ?? shown)) ?? given.find(({ key }) => key === shown) ?? given[0];
    if (row) detail(row, columns);
    drawChart(given);
  }

  function progress() {
    const step = model.get("step");
    const isRunning = Boolean(step?.key);
    status.hidden = !isRunning;
    if (isRunning) {
      const row = model.get("comparison").rows.find(({ key }) => key === step.key);
      bar.max = step.total;
      bar.value = step.done;
      words.textContent = `${row?.title ?? step.key}: ${step.what}`;
      announce(el, words.textContent);
    }
    const remark = model.get("remark") ?? "";
    if (remark && remark !== notice.textContent) announce(el, remark);
    else if (wasRunning && !isRunning) announce(el, "The comparison has ended.");
    wasRunning = isRunning;
    notice.textContent = remark;
    notice.hidden = !remark;
  }

  function change() {
    update();
    progress();
  }

  const events = ["change:comparison", "change:step", "change:remark"];
  for (const event of events) model.on(event, change);
  change();
  return () => {
    for (const event of events) model.off(event, change);
    diagram?.close();
  };
}

export default { render };
