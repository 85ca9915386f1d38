// The panel of requests: what came to the app, live; the details of each; replay, filter, statistics, export.
//
// The kernel says only that there is news. The page then asks for the rows it has not seen, one question at a
// time and ten in a second at most, and draws once in a frame, so a flood costs it little.

import { announce, h } from "./shared/dom.js";
import { downloadJson } from "./shared/download.js";
import { formatClock, formatCount, formatDuration, formatMoment, formatSize } from "./shared/format.js";
import { Inspector } from "./shared/inspector.js";
import { ExchangePane } from "./traffic/exchange_pane.js";
import { OUTCOMES, countText, isFailed, missingText, newsText, passesFilter, readFilter, statusLevel, statusText } from "./traffic/filter.js";
import { RequestGrid } from "./traffic/grid.js";
import { RequestLog } from "./traffic/log.js";
import { StatisticsView } from "./traffic/statistics.js";

const PULL_INTERVAL = 100; // milliseconds between two questions
const OPEN_INTERVAL = 1000; // milliseconds between two looks at what is open: its counts are no news
const ANNOUNCE_INTERVAL = 3000; // milliseconds between two announcements of new requests
const FILTER_DELAY = 100; // milliseconds after a key

const COLUMNS = [
  { name: "number", title: "#", fill: (cell, row) => fillText(cell, String(row.n)) },
  { name: "method", title: "Method", fill: (cell, row) => fillText(cell, row.method) },
  { name: "path", title: "Path", fill: fillPath },
  { name: "status", title: "Status", fill: fillStatus },
  { name: "endpoint", title: "Endpoint", fill: (cell, row) => fillText(cell, row.endpoint ?? "–", row.endpoint ?? "No rule matched") },
  { name: "duration", title: "Duration", fill: (cell, row) => fillText(cell, row.open ? "open" : formatDuration(row.ms)) },
  { name: "size", title: "Size", fill: (cell, row) => fillText(cell, formatSize(row.size)) },
  { name: "time", title: "Time", fill: (cell, row) => fillText(cell, formatClock(row.at), formatMoment(row.at)) },
];

function fillText(cell, text, title) {
  if (cell.textContent !== text) cell.textContent = text;
  if (title !== undefined) cell.title = title;
}

function fillPath(cell, row) {
  const [word, counts] = liveText(row);
  cell.title = row.failed ? `${row.path}\n${row.failed}` : row.path;
  cell.replaceChildren(
    h("span", { class: "flaskserve-path" }, row.path),
    ...(word ? [h("span", { class: "flaskserve-live" }, h("span", { class: "flaskserve-live-word" }, `${word} `), counts)] : []),
    ...(row.failed ? [h("span", { class: "flaskserve-failure flaskserve-bad" }, row.failed)] : []),
  );
}

function fillStatus(cell, row) {
  cell.replaceChildren(h("span", { class: `flaskserve-status-${statusLevel(row)}` }, statusText(row)));
}

/**
 * What an exchange of many messages or chunks says of them.
 *
 * @param {import("./traffic/log.js").Row} row
 * @returns {[string, string]} what it is, and how many came in (↑) and went out (↓); empty for any other
 */
export function liveText(row) {
  if (row.kind === "websocket") return ["WebSocket", `↑${row.in} ↓${row.out}`];
  return row.kind === "stream" ? ["stream", `↓${row.out}`] : ["", ""];
}

/**
 * @param {{model: any, el: HTMLElement}} widget
 * @returns {() => void} takes the panel away
 */
export default function render({ model, el }) {
  const panel = new RequestsPanel(model, el);
  return () => panel.close();
}

class RequestsPanel {
  constructor(model, el) {
    this.el = el;
    this.name = model.get("mount");
    this.inspector = new Inspector(model, el);
    this.log = new RequestLog();
    this.shown = [];
    this.filter = { terms: [], method: "", outcome: "" };
    this.methods = new Set();
    this.isPaused = false;
    this.waiting = 0;
    this.pulled = 0;
    this.pulling = Promise.resolve();
    this.frame = 0;
    this.openTimer = null;
    this.unsaid = { count: 0, failed: 0, timer: null };
    this.wanted = null; // the number of an exchange to open as soon as its row is here
    this.build(model);
    this.ends = [
      this.inspector.onNews((news) => this.onNews(news)),
      this.inspector.onConnection(() => this.showConnection()),
    ];
  }

  build(model) {
    this.grid = new RequestGrid({
      label: `Requests to ${this.name}`,
      columns: COLUMNS,
      classOf: (row) => (isFailed(row) ? "flaskserve-row-failed" : row.open ? "flaskserve-row-open" : ""),
      onOpen: (row, isByKey) => this.open(row, isByKey),
      onMove: (row) => this.onMove(row),
      onUnseen: (count) => this.showUnseen(count),
    });
    this.pane = new ExchangePane({
      panel: this.el,
      inspector: this.inspector,
      address: model.get("address"),
      onClose: () => this.closeDetails(),
      onSent: (rows) => this.openSent(rows),
    });
    this.statistics = new StatisticsView(this.inspector);
    this.unseen = h(
      "button",
      {
        type: "button", class: "flaskserve-button flaskserve-primary flaskserve-unseen", hidden: true,
        onclick: ({ detail }) => this.grid.follow({ focus: detail === 0 }), // it goes away, and who came by keyboard needs another place
      },
    );
    this.empty = h("div", { class: "flaskserve-empty", hidden: true });
    this.lost = h("p", { class: "flaskserve-notice flaskserve-notice-bad", role: "status", hidden: true });
    this.aside = h("div", { class: "flaskserve-toolbar flaskserve-requests-aside", hidden: true });
    this.count = h("span", { class: "flaskserve-requests-count" });
    this.news = h("span", { class: "flaskserve-dim flaskserve-requests-missing" });
    this.root = h(
      "div",
      { class: "flaskserve-requests-panel", onkeydown: (event) => this.onKey(event) },
      this.toolbar(),
      this.aside,
      this.lost,
      this.statistics.element,
      h(
        "div",
        { class: "flaskserve-requests-main" },
        h("div", { class: "flaskserve-requests-list" }, this.grid.element, this.empty, this.unseen),
        this.pane.element,
      ),
      h("div", { class: "flaskserve-requests-foot" }, this.count, this.news),
    );
    this.el.append(this.root);
    this.showConnection();
    this.refilter();
  }

  toolbar() {
    const button = (label, attributes) => h("button", { type: "button", class: "flaskserve-button", ...attributes }, label);
    this.search = h("input", {
      type: "search",
      class: "flaskserve-input flaskserve-requests-search",
      placeholder: "Filter",
      "aria-label": "Filter by path, endpoint, status or method",
      title: "Words that are all to be found: users 404. In one place: path:/api endpoint:static. Left out: -static. Key: /",
      spellcheck: "false",
      autocomplete: "off",
      oninput: () => {
        clearTimeout(this.searchTimer);
        this.searchTimer = setTimeout(() => this.refilter(), FILTER_DELAY);
      },
    });
    this.methodChoice = h(
      "select",
      { class: "flaskserve-input", "aria-label": "Method", onchange: () => this.refilter() },
      h("option", { value: "" }, "Method"),
    );
    this.outcomeChoice = h(
      "select",
      { class: "flaskserve-input", "aria-label": "Status", onchange: () => this.refilter() },
      OUTCOMES.map(([value, text]) => h("option", { value }, text)),
    );
    this.pauseButton = button("Pause", { "aria-pressed": "false", onclick: () => this.togglePause() });
    this.statisticsButton = button("Statistics", { "aria-expanded": "false", onclick: () => this.toggleStatistics() });
    this.exportButton = button("Export HAR…", { "aria-expanded": "false", onclick: () => this.toggleExport() });
    return h(
      "div",
      { class: "flaskserve-toolbar flaskserve-requests-toolbar", role: "group", "aria-label": "Filter and tools" },
      this.search,
      this.methodChoice,
      this.outcomeChoice,
      h("span", { class: "flaskserve-requests-tools" }, [
        this.pauseButton,
        button("Clear", { onclick: () => this.clear() }),
        this.statisticsButton,
        this.exportButton,
      ]),
    );
  }

  close() {
    this.isClosed = true;
    for (const end of this.ends) end();
    clearTimeout(this.searchTimer);
    clearTimeout(this.moveTimer);
    clearTimeout(this.openTimer);
    clearTimeout(this.unsaid.timer);
    cancelAnimationFrame(this.frame);
    this.statistics.close();
    this.pane.close();
    this.grid.close();
    this.inspector.close();
    this.root.remove();
  }

  // Rows from the kernel

  /** There may be news. Another call comes only after this one has ended. */
  async onNews(news) {
    if (this.isPaused && news !== null && news.generation === this.log.generation) {
      this.waiting = Math.max(0, news.last - this.log.cursor);
      this.showCount();
      return;
    }
    await this.pull();
  }

  /** Asks for what has not been seen, after what is being asked: an answer that is overtaken would bring back what was. */
  pull() {
    this.pulling = this.pulling.catch(() => {}).then(() => this.ask());
    return this.pulling;
  }

  async ask() {
    const wait = this.pulled + PULL_INTERVAL - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    if (this.isClosed) return;
    this.pulled = performance.now();
    this.take(await this.inspector.post("rows", this.log.question));
    this.pulled = performance.now();
  }

  take(answer) {
    if (this.isClosed) return;
    const { added, changed, isChanged, isRestarted } = this.log.take(answer);
    this.waiting = 0;
    if (isRestarted) {
      this.wanted = null;
      if (this.pane.isOpen) this.closeDetails();
    }
    if (added.some((row) => !this.methods.has(row.method))) this.offerMethods();
    const open = this.pane.row && changed.find((row) => row.n === this.pane.row.n);
    if (open) this.pane.update(open);
    if (this.hasRows) this.sayNew(added);
    this.hasRows = true;
    const wanted = this.wanted === null ? null : this.log.row(this.wanted);
    if (wanted) this.open(wanted, false, true);
    if (isChanged) this.redraw();
    this.watchOpen();
  }

  /** Asks again in a while where something is open: the kernel does not tell each message of a WebSocket. */
  watchOpen() {
    clearTimeout(this.openTimer);
    if (this.isClosed || !this.log.rows.some((row) => row.open)) return;
    this.openTimer = setTimeout(() => {
      if (this.isPaused || !this.inspector.visible || this.inspector.connection === "lost") this.watchOpen();
      else this.pull().catch(() => this.watchOpen()); // the connection says what is wrong
    }, OPEN_INTERVAL);
  }

  /** Offers the methods of the rows that are kept: a client may make up any number of them. */
  offerMethods() {
    const { value } = this.methodChoice;
    this.methods = new Set(this.log.rows.map((row) => row.method));
    if (value) this.methods.add(value);
    const options = [...this.methods].sort().map((name) => h("option", { value: name }, name));
    this.methodChoice.replaceChildren(h("option", { value: "" }, "Method"), ...options);
    this.methodChoice.value = value;
  }

  sayNew(added) {
    if (added.length === 0) return;
    const { unsaid } = this;
    unsaid.count += added.length;
    unsaid.failed += added.filter(isFailed).length;
    unsaid.timer ??= setTimeout(() => {
      announce(this.el, newsText(unsaid.count, unsaid.failed));
      Object.assign(unsaid, { count: 0, failed: 0, timer: null });
    }, ANNOUNCE_INTERVAL);
  }

  // What is shown

  redraw() {
    if (this.frame === 0) this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  draw() {
    this.shown = this.log.rows.filter((row) => passesFilter(row, this.filter));
    this.grid.show(this.shown);
    this.grid.element.hidden = this.shown.length === 0;
    this.showEmpty();
    this.showCount();
  }

  refilter() {
    clearTimeout(this.searchTimer);
    this.filter = { terms: readFilter(this.search.value), method: this.methodChoice.value, outcome: this.outcomeChoice.value };
    this.draw();
  }

  showCount() {
    const parts = [countText(this.shown.length, this.log.rows.length)];
    if (this.isPaused) parts.push(this.waiting ? `paused · ${this.waiting.toLocaleString("en")} waiting` : "paused");
    if (this.log.isStopped) parts.push("the app is stopped");
    this.count.textContent = parts.join(" · ");
    const missing = [missingText(this.log)];
    if (this.log.isRestarted) missing.unshift("The kernel was restarted: what was before is gone.");
    this.news.textContent = missing.filter(Boolean).join(" ");
    this.news.title = this.news.textContent;
  }

  showEmpty() {
    const isEmpty = this.shown.length === 0;
    const kind = !isEmpty ? "" : this.log.rows.length > 0 ? "filtered" : this.log.isStopped ? "stopped" : "none";
    this.empty.hidden = !isEmpty;
    if (kind === this.empty.dataset.kind) return;
    this.empty.dataset.kind = kind;
    if (kind === "filtered") {
      this.empty.replaceChildren(
        h("p", null, "No request passes the filter."),
        h("button", { type: "button", class: "flaskserve-button", onclick: () => this.clearFilter() }, "Show all"),
      );
    } else if (kind === "stopped") {
      this.empty.replaceChildren(h("p", null, "The app is stopped, and no request is kept."));
    } else if (kind === "none") {
      this.empty.replaceChildren(h("p", null, "No request yet. Open ", h("a", { href: this.inspector.url, target: "_blank", rel: "noopener" }, this.inspector.url), " …"));
    }
  }

  clearFilter() {
    this.search.value = "";
    this.methodChoice.value = "";
    this.outcomeChoice.value = "";
    this.refilter();
    this.search.focus();
  }

  showUnseen(count) {
    this.unseen.hidden = count === 0;
    this.unseen.textContent = `${count.toLocaleString("en")} new ↓`;
    this.unseen.setAttribute("aria-label", `Go to ${formatCount(count, "new request")}`);
  }

  showConnection() {
    const isLost = this.inspector.connection === "lost";
    this.lost.hidden = !isLost;
    this.lost.textContent = isLost ? this.inspector.lostText : "";
    if (!isLost) this.pane.again();
  }

  // Details

  open(row, isByKey = false, scroll = false) {
    clearTimeout(this.moveTimer);
    this.wanted = null;
    this.pane.open(row);
    this.root.classList.add("flaskserve-requests-open");
    this.grid.select(row.n, { scroll });
    if (isByKey) this.pane.focus();
  }

  onMove(row) {
    if (!this.pane.isOpen) return;
    clearTimeout(this.moveTimer);
    this.grid.select(row.n);
    this.moveTimer = setTimeout(() => this.pane.open(row), 100);
  }

  closeDetails() {
    const hadFocus = this.pane.element.contains(document.activeElement);
    clearTimeout(this.moveTimer);
    this.pane.close();
    this.root.classList.remove("flaskserve-requests-open");
    this.grid.select(null);
    if (hadFocus) this.grid.focus();
  }

  /** Opens the first exchange that a request of ours has caused. */
  openSent(rows) {
    const row = this.log.row(rows[0].n);
    if (row) {
      this.open(row, false, true);
      return;
    }
    this.wanted = rows[0].n;
    if (this.isPaused) this.togglePause();
    else this.pull().catch(() => {}); // the connection says what is wrong
  }

  // Tools

  togglePause() {
    this.isPaused = !this.isPaused;
    this.pauseButton.setAttribute("aria-pressed", String(this.isPaused));
    this.pauseButton.textContent = this.isPaused ? "Resume" : "Pause";
    this.showCount();
    if (!this.isPaused) this.pull().catch(() => {}); // the connection says what is wrong
  }

  async clear() {
    try {
      await this.inspector.post("clear");
      this.closeDetails();
      await this.pull();
    } catch (error) {
      this.say(error.message);
    }
  }

  toggleStatistics() {
    const isOpen = this.statistics.element.hidden;
    this.statisticsButton.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) this.statistics.open();
    else this.statistics.close();
  }

  toggleExport() {
    const isOpen = this.exportButton.getAttribute("aria-expanded") === "true";
    this.closeAside();
    if (isOpen) return;
    const secrets = h("input", { type: "checkbox" });
    this.aside.replaceChildren(
      h("span", null, "An HTTP Archive, for the network panel of a browser. Secrets are masked."),
      h("label", null, secrets, "with secrets"),
      h("button", { type: "button", class: "flaskserve-button flaskserve-primary", onclick: () => this.export(secrets.checked) }, "Download"),
    );
    this.aside.hidden = false;
    this.exportButton.setAttribute("aria-expanded", "true");
    secrets.focus();
  }

  async export(withSecrets) {
    try {
      const { bytes } = await this.inspector.bytes("har", { reveal: withSecrets ? 1 : 0 });
      downloadJson(`${this.name}.har`, bytes);
      this.closeAside();
    } catch (error) {
      this.say(error.message);
    }
  }

  closeAside() {
    const hadFocus = this.aside.contains(document.activeElement);
    this.exportButton.setAttribute("aria-expanded", "false");
    this.aside.hidden = true;
    this.aside.replaceChildren();
    if (hadFocus) this.exportButton.focus();
  }

  say(text) {
    this.closeAside();
    this.aside.replaceChildren(
      h("span", { class: "flaskserve-notice" }, text),
      h("button", { type: "button", class: "flaskserve-button", onclick: () => this.closeAside() }, "Close"),
    );
    this.aside.hidden = false;
    announce(this.el, text);
  }

  // The keyboard

  onKey(event) {
    const isTyping = event.target.closest("input, textarea, select, [contenteditable]") !== null;
    const isPlain = !event.altKey && !event.ctrlKey && !event.metaKey;
    if (event.key === "/" && isPlain && !isTyping) {
      this.search.focus();
      this.search.select();
      event.preventDefault();
    } else if (event.key === "Escape" && isPlain) {
      if (event.target === this.search && this.search.value !== "") this.clearFilter();
      else if (!this.aside.hidden) this.closeAside();
      else if (this.pane.isOpen && !(isTyping && this.pane.element.contains(event.target))) this.closeDetails();
      event.preventDefault();
    }
    // Notebooks listen too: for them, keys in here are no commands.
    event.stopPropagation();
  }
}
