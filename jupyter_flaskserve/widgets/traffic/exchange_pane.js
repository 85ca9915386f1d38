// The details of one exchange, and what can be done with it.

import { copyText } from "../shared/clipboard.js";
import { composer } from "../shared/composer.js";
import { announce, h, uid } from "../shared/dom.js";
import { formatCount, formatDuration, formatMoment, formatSize } from "../shared/format.js";
import { canSendHeader, fromBase64 } from "../shared/inspector.js";
import { exchangePart, partsOf } from "./exchange_parts.js";
import { statusLevel, statusText } from "./filter.js";
import { flash } from "./traceback.js";

const REFRESH_OPEN = 1000; // milliseconds between two looks at an exchange that goes on
const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS"]); // RFC 9110 §9.2.1
const COPY_FORMS = [["curl", "curl"], ["requests", "requests"], ["test_client", "app.test_client()"]];

/**
 * What a row says of itself beside its status.
 *
 * @param {import("./log.js").Row} row
 * @returns {string[]}
 */
export function rowFacts(row) {
  const facts = [row.endpoint ?? "no rule matched"];
  if (row.open) facts.push("open");
  else if (row.ms !== null) facts.push(formatDuration(row.ms));
  if (row.size > 0) facts.push(formatSize(row.size));
  if (row.kind === "websocket") facts.push(`${row.in} in, ${row.out} out`);
  if (row.kind === "stream") facts.push(formatCount(row.out, "chunk"));
  return facts;
}

/**
 * Whether the editor of a request would show what its details mask. It covers up the header by which
 * somebody logs in, and is not given cookies.
 *
 * @param {any} request as the details tell of it
 * @returns {boolean}
 */
export function editorShowsSecrets({ headers, args, body }) {
  const isMasked = ([name, , masked]) => masked && !["authorization", "cookie"].includes(name.toLowerCase());
  return body.masked || args.some(([, , masked]) => masked) || headers.some(isMasked);
}

export class ExchangePane {
  #detail = null; // null until it is here, and where it cannot be had
  #isRevealed = false;
  #tab = "response"; // the one that was chosen last
  #shown = ""; // the one that is shown
  #loaded = 0; // when the details were asked for
  #timer = null;
  #ticket = 0; // of the latest question: answers to others come too late
  #composer = null;
  #isSending = false;
  #asideButton = null; // by which the aside was opened

  /**
   * @param {{panel: HTMLElement, inspector: any, address: string, onClose: () => void,
   *   onSent: (rows: import("./log.js").Row[]) => void}} options `onSent`: a request was sent, and caused these exchanges
   */
  constructor({ panel, inspector, address, onClose, onSent }) {
    this.panel = panel;
    this.inspector = inspector;
    this.address = address;
    this.onSent = onSent;
    /** @type {import("./log.js").Row|null} */
    this.row = null;
    this.title = h("h3", { class: "flaskserve-exchange-title", tabindex: "-1" });
    this.facts = h("p", { class: "flaskserve-dim flaskserve-exchange-facts" });
    this.replayButton = this.#button("Replay", () => this.#replay());
    this.editButton = this.#button("Edit and resend", () => this.#edit());
    this.copyButton = this.#button("Copy…", () => this.#toggleCopy());
    this.copyButton.setAttribute("aria-expanded", "false");
    this.revealButton = this.#button("Show secrets", () => this.#reveal());
    this.aside = h("div", { class: "flaskserve-exchange-aside", hidden: true });
    this.tabs = h("div", { class: "flaskserve-tabs", role: "tablist", "aria-label": "Details", onkeydown: (event) => this.#onTabKey(event) });
    this.content = h("div", { class: "flaskserve-exchange-content", role: "tabpanel", tabindex: "0", id: uid("details") });
    this.element = h(
      "section",
      { class: "flaskserve-exchange", "aria-label": "Details of a request", hidden: true },
      h(
        "div",
        { class: "flaskserve-exchange-head" },
        h("div", { class: "flaskserve-exchange-line" }, h("div", { class: "flaskserve-exchange-names" }, this.title, this.facts), h(
          "button",
          { type: "button", class: "flaskserve-button flaskserve-quiet flaskserve-exchange-close", "aria-label": "Close the details", title: "Close (Escape)", onclick: onClose },
          "✕",
        )),
        h("div", { class: "flaskserve-exchange-actions" }, this.replayButton, this.editButton, this.copyButton, this.revealButton),
        this.aside,
      ),
      this.tabs,
      this.content,
    );
  }

  #button(label, onclick) {
    return h("button", { type: "button", class: "flaskserve-button", onclick }, label);
  }

  get isOpen() {
    return this.row !== null;
  }

  /** Shows another exchange. @param {import("./log.js").Row} row */
  open(row) {
    if (this.#shows(row)) {
      if (this.#detail) this.update(row);
      else this.#load();
      return;
    }
    this.#dropComposer();
    this.row = row;
    this.#detail = null;
    this.#isRevealed = false;
    this.#shown = "";
    this.element.hidden = false;
    this.#closeAside();
    this.#showHead();
    this.tabs.hidden = true;
    this.content.replaceChildren();
    this.#load();
  }

  /** The exchange has gone on. @param {import("./log.js").Row} row */
  update(row) {
    const hasEnded = this.row.open && !row.open;
    this.row = row;
    this.#showHead();
    clearTimeout(this.#timer);
    if (hasEnded) this.#load();
    else if (row.open) this.#timer = setTimeout(() => this.#load(), Math.max(0, this.#loaded + REFRESH_OPEN - Date.now()));
  }

  /** The connection is there again. */
  again() {
    if (this.isOpen && this.#detail === null) this.#load();
  }

  close() {
    clearTimeout(this.#timer);
    this.#ticket += 1;
    this.#dropComposer();
    this.#closeAside(); // what was copied may have secrets
    this.row = null;
    this.#detail = null;
    this.element.hidden = true;
    this.content.replaceChildren();
  }

  focus() {
    this.title.focus({ preventScroll: true });
  }

  #showHead() {
    const { row } = this;
    const text = statusText(row);
    this.title.replaceChildren(
      h("span", { class: `flaskserve-badge flaskserve-status-${statusLevel(row)}` }, text),
      h("span", { class: "flaskserve-exchange-method" }, row.method),
      h("span", { class: "flaskserve-exchange-path", title: row.path }, row.path),
    );
    this.facts.textContent = rowFacts(row).join(" · ");
    this.facts.title = formatMoment(row.at);
    const isSocket = row.kind === "websocket";
    for (const button of [this.replayButton, this.editButton]) {
      button.disabled = isSocket;
      button.title = isSocket ? "A WebSocket cannot be sent again from here." : "The browser sends its own cookies, Referer and the like.";
    }
    this.editButton.disabled ||= this.#detail === null; // it is not known yet whether the editor would show secrets
    this.revealButton.hidden = !this.#detail?.has_secrets;
    this.revealButton.setAttribute("aria-pressed", String(this.#isRevealed));
    this.revealButton.textContent = this.#isRevealed ? "Hide secrets" : "Show secrets";
  }

  async #load() {
    const ticket = (this.#ticket += 1);
    const isRevealed = this.#isRevealed;
    this.#loaded = Date.now();
    this.element.setAttribute("aria-busy", "true");
    try {
      const detail = await this.inspector.get(`exchanges/${this.row.n}`, { reveal: isRevealed ? 1 : 0 });
      if (ticket !== this.#ticket) return;
      const isRefresh = Boolean(this.#detail?.row.open && detail.row.open && this.#detail.revealed === detail.revealed);
      this.#detail = detail;
      this.row = detail.row;
      this.#showHead();
      if (!this.#composer) this.#showTabs(isRefresh);
    } catch (error) {
      if (ticket !== this.#ticket) return;
      this.#detail = null;
      this.#showHead();
      if (!this.#composer) this.#showFailure(error.message);
    }
    this.element.removeAttribute("aria-busy");
  }

  #showFailure(text) {
    this.tabs.hidden = true;
    this.content.replaceChildren(h("p", { class: "flaskserve-notice", role: "status" }, text));
  }

  /** Whether the details are still those of a row. */
  #shows(row) {
    return this.row?.n === row.n && this.row.at === row.at;
  }

  // Tabs

  #showTabs(isRefresh) {
    const parts = partsOf(this.#detail);
    const hasNewTraceback = parts[0].name === "traceback" && !this.#buttonOf("traceback");
    let name = this.#shown || (parts[0].name === "traceback" ? "traceback" : this.#tab);
    if (hasNewTraceback) name = "traceback";
    if (!parts.some((part) => part.name === name)) name = "response";
    const labels = parts.map((part) => part.title + (part.name === "output" && this.#detail.output.text ? " •" : ""));
    if ([...this.tabs.children].map((tab) => tab.textContent).join() !== labels.join()) {
      const hadFocus = this.tabs.contains(document.activeElement);
      this.tabs.replaceChildren(...parts.map((part, index) => h(
        "button",
        {
          type: "button", role: "tab", class: "flaskserve-tab", id: `${this.content.id}-${part.name}`,
          "aria-controls": this.content.id, dataset: { part: part.name },
          title: labels[index].endsWith("•") ? "There is some" : null,
          onclick: () => this.#choose(part.name),
        },
        labels[index],
      )));
      if (hadFocus) this.#buttonOf(name).focus();
    }
    this.tabs.hidden = false;
    // What a body shows may be scrolled in and loaded on; it waits for the end of the exchange.
    if (isRefresh && name === this.#shown && ["response", "request"].includes(name) && this.#detail.response?.body.size > 0) return;
    this.#show(name, isRefresh);
  }

  #buttonOf(name) {
    return this.tabs.querySelector(`[data-part="${name}"]`);
  }

  #choose(name) {
    if (name !== "traceback") this.#tab = name;
    this.#show(name);
  }

  #show(name, isRefresh = false) {
    const { scrollTop } = this.content;
    const hadFocus = this.content.contains(document.activeElement);
    const isSame = this.#shown === name;
    this.#shown = name;
    for (const tab of this.tabs.children) {
      const isSelected = tab.dataset.part === name;
      tab.setAttribute("aria-selected", String(isSelected));
      tab.tabIndex = isSelected ? 0 : -1;
    }
    this.content.setAttribute("aria-labelledby", this.#buttonOf(name).id);
    this.content.replaceChildren(...exchangePart(name, this.#detail, { bytes: (which) => this.#loader(which) }));
    this.content.scrollTop = isSame || isRefresh ? scrollTop : 0;
    if (hadFocus) this.content.focus({ preventScroll: true });
  }

  #loader(which) {
    const { n } = this.row;
    const reveal = this.#isRevealed ? 1 : 0;
    return (offset, limit) => this.inspector.bytes(`exchanges/${n}/${which}`, { offset, limit, reveal });
  }

  #onTabKey(event) {
    const tabs = [...this.tabs.children];
    const at = tabs.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined || at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const tab = tabs[(to + tabs.length) % tabs.length];
    tab.focus();
    this.#choose(tab.dataset.part);
  }

  // Secrets

  #reveal() {
    this.#isRevealed = !this.#isRevealed;
    this.#load();
  }

  // What stands under the actions: a question, a choice, or what became of it

  #closeAside() {
    const hadFocus = this.aside.contains(document.activeElement);
    this.copyButton.setAttribute("aria-expanded", "false");
    this.aside.hidden = true;
    this.aside.replaceChildren();
    if (hadFocus) this.#asideButton.focus();
  }

  #openAside(button, ...children) {
    this.#closeAside();
    this.#asideButton = button;
    this.aside.replaceChildren(...children);
    this.aside.hidden = false;
  }

  /** Says something of a row: in its details, where they are still shown. */
  #say(text, row, button) {
    if (this.#shows(row)) this.#openAside(button, h("p", { class: "flaskserve-notice" }, text), this.#button("Close", () => this.#closeAside()));
    announce(this.panel, text);
  }

  /** Asks before something is done. */
  #ask(button, text, label, action) {
    const yes = this.#button(label, action);
    yes.classList.add("flaskserve-primary");
    const choice = { class: "flaskserve-exchange-choice", role: "group", "aria-label": button.textContent };
    this.#openAside(button, h("div", choice, h("span", null, text), yes, this.#button("Cancel", () => this.#closeAside())));
    yes.focus();
  }

  #toggleCopy() {
    if (this.copyButton.getAttribute("aria-expanded") === "true") {
      this.#closeAside();
      return;
    }
    const secrets = h("input", { type: "checkbox" });
    this.#openAside(this.copyButton, h(
      "div",
      { class: "flaskserve-exchange-choice", role: "group", "aria-label": "Copy the request as" },
      COPY_FORMS.map(([form, label]) => {
        const button = this.#button(label, () => this.#copy(button, form, label, secrets.checked));
        return button;
      }),
      h("label", null, secrets, "with secrets (cookies, tokens, passwords)"),
    ));
    this.copyButton.setAttribute("aria-expanded", "true");
    this.aside.querySelector("button").focus();
  }

  async #copy(button, form, label, withSecrets) {
    const { row } = this;
    try {
      const { text } = await this.inspector.get(`exchanges/${row.n}/copy`, { as: form, reveal: withSecrets ? 1 : 0 });
      if (await copyText(text)) {
        flash(button, "Copied", label);
        announce(this.panel, `Copied as ${label}`);
      } else if (this.#shows(row)) {
        const field = h("textarea", { class: "flaskserve-input", readonly: true, rows: "4", "aria-label": `The request as ${label}`, value: text });
        this.#openAside(this.copyButton, h("p", null, "The browser does not let this page copy. Copy it from here:"), field);
        field.select();
      }
    } catch (error) {
      this.#say(error.message, row, this.copyButton);
    }
  }

  #replay() {
    const { method } = this.row;
    if (SAFE_METHODS.has(method)) this.#resend();
    else this.#ask(this.replayButton, `${method} may change something each time.`, `Send ${method} again`, () => this.#resend());
  }

  async #resend() {
    const { row, replayButton } = this;
    this.#closeAside();
    if (this.#isSending) return;
    this.#isSending = true;
    replayButton.setAttribute("aria-disabled", "true");
    try {
      const { complete, ...request } = await this.#recorded(row);
      if (!complete) {
        this.#say("Its body was too large to be kept whole, so it cannot be sent again as it was.", row, replayButton);
        return;
      }
      // What only the browser can set would be told each time.
      const isOurs = this.inspector.model.get("other_origin");
      const headers = request.headers.filter(([name]) => isOurs || canSendHeader(name));
      const sent = await this.inspector.sendToApp({ ...request, headers });
      const remark = [sent.error, sent.note].filter(Boolean).join(" ");
      if (remark) {
        this.#say(remark, row, replayButton);
      } else if (sent.rows.length > 0) {
        announce(this.panel, `Sent again: ${statusText(sent.rows[0])}`);
        if (this.#shows(row)) this.onSent(sent.rows);
      }
    } catch (error) {
      this.#say(error.message, row, replayButton);
    } finally {
      this.#isSending = false;
      replayButton.removeAttribute("aria-disabled");
    }
  }

  async #recorded({ n }) {
    const { method, target, headers, body_base64: body, complete } = await this.inspector.get(`exchanges/${n}/resend`);
    return { method, target, headers, body: fromBase64(body), complete };
  }

  #edit() {
    if (!editorShowsSecrets(this.#detail.request)) this.#compose();
    else this.#ask(this.editButton, "The editor shows the request as it was sent, with its secrets.", "Edit it", () => this.#compose());
  }

  async #compose() {
    const { row } = this;
    this.#closeAside();
    try {
      const { complete, ...initial } = await this.#recorded(row);
      if (!this.#shows(row)) return;
      if (!complete) this.#say("Its body was too large to be kept whole. Only its beginning is here.", row, this.editButton);
      this.#dropComposer();
      this.#composer = composer({ inspector: this.inspector, address: this.address, root: this.panel, initial });
      this.tabs.hidden = true;
      this.content.removeAttribute("aria-labelledby");
      this.content.setAttribute("aria-label", "Edit and resend");
      this.content.scrollTop = 0;
      this.content.replaceChildren(this.#button("← Back to the details", () => this.#leaveComposer()), this.#composer.element);
      this.#composer.element.querySelector("select, input, textarea")?.focus();
    } catch (error) {
      this.#say(error.message, row, this.editButton);
    }
  }

  #leaveComposer() {
    this.#dropComposer();
    this.content.replaceChildren();
    this.editButton.focus();
    if (this.#detail) this.#showTabs(false);
    else this.#load();
  }

  #dropComposer() {
    this.#composer?.close();
    this.#composer = null;
    this.content.removeAttribute("aria-label");
  }
}
