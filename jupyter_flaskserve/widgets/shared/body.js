// The body of a request or a response: as a tree, fields, text, a picture, a page or bytes.
//
// A body was written by somebody else. It is only ever put into the page as text, as a picture, or into
// a frame that runs nothing, loads nothing and has an origin of its own.

import { h, uid } from "./dom.js";
import { formatCount, formatSize } from "./format.js";
import { hexLines } from "./hex.js";
import { jsonProblem } from "./json_position.js";
import { jsonTree, readJson } from "./json_tree.js";

/**
 * What is known of a body before it is loaded.
 * @typedef {{size: number, kept: number, type: string, charset: string,
 *   kind: "empty"|"json"|"form"|"multipart"|"text"|"html"|"image"|"binary", encoding?: string, masked?: boolean,
 *   fields?: [string, string, boolean, string|null][]|null}} Body
 */

/** Bytes that are loaded at once. */
export const BODY_PIECE = 64 * 1024;

const LARGEST_PICTURE = 16 * 1024 * 1024; // bytes; a larger one is shown as what it begins with
const DECODED = new Set(["", "identity", "gzip", "x-gzip", "deflate"]); // the others come as they were sent
const TEXT_TYPES = /^(?:text\/|application\/(?:(?:.+\+)?(?:xml|yaml)|javascript|ecmascript|x-ndjson|jsonl|sql|graphql|toml|x-sh|x-python|x-yaml)\b)/;

const VIEWS = {
  json: ["Tree", "Text", "Hex"],
  form: ["Fields", "Text", "Hex"],
  multipart: ["Fields", "Text", "Hex"],
  text: ["Text", "Hex"],
  html: ["Preview", "Source", "Hex"],
  image: ["Picture", "Hex"],
  binary: ["Hex", "Text"],
};

/**
 * What kind of body it is, from its type; without one, from how it begins.
 *
 * @param {string|null|undefined} contentType the header's value
 * @param {Uint8Array} bytes
 * @returns {Body["kind"]}
 */
export function bodyKind(contentType, bytes) {
  if (bytes.length === 0) return "empty";
  const type = (contentType ?? "").split(";")[0].trim().toLowerCase();
  if (/^(?:application|text)\/(?:.+\+)?json$/.test(type)) return "json";
  if (type === "application/x-www-form-urlencoded") return "form";
  if (type === "multipart/form-data") return "multipart";
  if (type === "text/html" || type === "application/xhtml+xml") return "html";
  if (/^image\/(?:png|jpeg|gif|webp|avif|bmp|svg\+xml|x-icon|vnd\.microsoft\.icon)$/.test(type)) return "image";
  if (TEXT_TYPES.test(type)) return "text";
  if (type !== "") return "binary";
  return isText(bytes.subarray(0, 1024)) ? "text" : "binary";
}

/** Whether bytes are UTF-8 text, perhaps cut in a character. */
function isText(bytes) {
  if (bytes.some((byte) => byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d && byte !== 0x1b)) return false;
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}

/**
 * The charset that a Content-Type names.
 *
 * @param {string|null|undefined} contentType
 * @returns {string} empty where it names none
 */
export function charsetOf(contentType) {
  const found = /;\s*charset\s*=\s*(?:"([^"]*)"|([^\s;]+))/i.exec(contentType ?? "");
  return (found?.[1] ?? found?.[2] ?? "").toLowerCase();
}

/**
 * What {@link bodyView} takes, for bytes that are here already.
 *
 * @param {string|null|undefined} contentType
 * @param {Uint8Array} bytes
 * @param {boolean} [isCut] whether there was more of it
 * @returns {{body: Body, load: (offset: number, limit: number) => Promise<{bytes: Uint8Array, total: number}>}}
 */
export function loadedBody(contentType, bytes, isCut = false) {
  return {
    body: {
      size: isCut ? bytes.length + 1 : bytes.length,
      kept: bytes.length,
      type: (contentType ?? "").split(";")[0].trim().toLowerCase(),
      charset: charsetOf(contentType),
      kind: bodyKind(contentType, bytes),
    },
    load: async (offset, limit) => ({ bytes: bytes.subarray(offset, offset + limit), total: bytes.length }),
  };
}

/**
 * Bytes as text.
 *
 * @param {Uint8Array} bytes
 * @param {string} charset a name that a browser knows; another one, or none, stands for UTF-8
 * @param {boolean} isWhole false: a character may be cut at the end, and is left out
 * @returns {string}
 */
export function decodeText(bytes, charset, isWhole) {
  let decoder;
  try {
    decoder = new TextDecoder(charset || "utf-8");
  } catch {
    decoder = new TextDecoder();
  }
  return decoder.decode(bytes, { stream: !isWhole });
}

/**
 * A page that can be shown in a frame without running or loading anything.
 *
 * @param {string} html
 * @returns {string} for `srcdoc`
 */
export function harmlessPage(html) {
  // Of two document types the second one is passed over. A link that opened would leave the preview.
  return "<!doctype html><meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline';"
    + " img-src data:; font-src data:; media-src data:\"><base target=\"_blank\">" + html;
}

/**
 * How much of a body is to be seen, in words.
 *
 * @param {Body} body
 * @param {number} loaded bytes that are here
 * @param {number|null} total bytes that can be had; null while that is not known
 * @returns {string} empty where all of it is to be seen
 */
export function bodyExtent(body, loaded, total) {
  const sentences = [];
  if (total !== null && loaded < total) sentences.push(`${formatSize(loaded)} of ${formatSize(total)} are shown.`);
  if (body.kept === 0 && body.size > 0) {
    sentences.push(`None of its ${formatSize(body.size)} are here: the app did not read it, or room was needed.`);
  } else if (body.kept < body.size) sentences.push(`${formatSize(body.kept)} of ${formatSize(body.size)} were kept.`);
  return sentences.join(" ");
}

/**
 * A body as an element.
 *
 * @param {{body: Body, load: (offset: number, limit: number) => Promise<{bytes: Uint8Array, total: number}>,
 *   title: string}} options `title` names it for screen readers
 * @returns {HTMLElement}
 */
export function bodyView({ body, load, title }) {
  const root = h("div", { class: "flaskserve-body", role: "group", "aria-label": title });
  if (body.kind === "empty" || body.size === 0) {
    root.append(h("p", { class: "flaskserve-dim flaskserve-body-empty" }, "No body."));
    return root;
  }
  new BodyView(root, body, load, title);
  return root;
}

class BodyView {
  constructor(root, body, load, title) {
    this.root = root;
    this.body = body;
    this.load = load;
    this.title = title;
    this.bytes = new Uint8Array();
    this.total = null;
    this.isWrapped = true;
    this.isCompressed = !DECODED.has((body.encoding ?? "").toLowerCase());
    this.views = this.isCompressed ? ["Hex"] : VIEWS[body.kind] ?? VIEWS.binary;
    if (body.kind === "image" && body.type === "image/svg+xml") this.views = ["Picture", "Source", "Hex"];
    if (this.views[0] === "Fields" && !body.fields) this.views = this.views.slice(1);
    this.view = this.views[0];
    this.build();
    if (this.view !== "Fields") this.more(BODY_PIECE);
  }

  build() {
    const { body } = this;
    const facts = [body.type || "no type", body.charset, formatSize(body.size)];
    if (body.encoding) facts.push(body.encoding);
    this.tabs = this.views.map((view) => h(
      "button",
      { type: "button", class: "flaskserve-button", "aria-pressed": "false", onclick: () => this.show(view) },
      view,
    ));
    this.wrap = h(
      "button",
      {
        type: "button", class: "flaskserve-button flaskserve-quiet", "aria-pressed": "true",
        onclick: () => {
          this.isWrapped = !this.isWrapped;
          this.show(this.view);
        },
      },
      "Wrap lines",
    );
    this.remark = h("span");
    this.note = h("p", { class: "flaskserve-notice", hidden: true });
    this.content = h("div", { class: "flaskserve-body-content", id: uid("body"), tabindex: "-1" });
    this.extent = h("span", { class: "flaskserve-dim" });
    this.moreButton = h(
      "button",
      { type: "button", class: "flaskserve-button", onclick: () => this.more(BODY_PIECE) },
      "Load more",
    );
    this.allButton = h("button", { type: "button", class: "flaskserve-button", onclick: () => this.more(Infinity) }, "Load all");
    this.foot = h("div", { class: "flaskserve-body-foot", hidden: true }, this.extent, this.moreButton, this.allButton);
    this.root.append(
      h(
        "div",
        { class: "flaskserve-body-head" },
        this.views.length > 1 ? h("span", { class: "flaskserve-segments", role: "group", "aria-label": "Show as" }, this.tabs) : null,
        h("span", { class: "flaskserve-dim flaskserve-body-facts" }, facts.filter(Boolean).join(" · "), this.remark),
        this.wrap,
      ),
      this.note,
      this.content,
      this.foot,
    );
    this.show(this.view);
  }

  get isWhole() {
    return this.total !== null && this.bytes.length >= this.total;
  }

  /** Loads more bytes, and shows what is here then. */
  async more(count) {
    if (this.isLoading) return;
    this.isLoading = true;
    const wanted = this.bytes.length + count;
    this.root.setAttribute("aria-busy", "true");
    const wait = setTimeout(() => {
      if (this.bytes.length === 0) this.content.replaceChildren(h("p", { class: "flaskserve-dim" }, "Loading…"));
    }, 150);
    try {
      do {
        const limit = Math.min(wanted - this.bytes.length, count === Infinity ? 16 * BODY_PIECE : BODY_PIECE);
        const { bytes, total } = await this.load(this.bytes.length, limit);
        this.total = total;
        this.add(bytes);
        if (bytes.length === 0) this.total = this.bytes.length; // it has become less
      } while (this.bytes.length < wanted && !this.isWhole);
      this.failure = "";
    } catch (error) {
      this.failure = error.message;
    }
    clearTimeout(wait);
    this.isLoading = false;
    this.root.removeAttribute("aria-busy");
    const hadFocus = this.foot.contains(document.activeElement);
    this.show(this.view);
    if (hadFocus && this.foot.hidden) this.content.focus({ preventScroll: true });
  }

  add(bytes) {
    const joined = new Uint8Array(this.bytes.length + bytes.length);
    joined.set(this.bytes);
    joined.set(bytes, this.bytes.length);
    this.bytes = joined;
  }

  show(view) {
    this.view = view;
    this.views.forEach((name, index) => this.tabs[index].setAttribute("aria-pressed", String(name === view)));
    this.notes = [];
    if (this.isCompressed) this.notes.push(`Compressed with ${this.body.encoding}, and shown as it was sent.`);
    this.isPlain = false;
    this.remark.textContent = this.remarkOn(view);
    if (view === "Fields") {
      this.content.replaceChildren(this.fields());
    } else if (this.total === null && !this.failure) {
      if (!this.isLoading) this.more(BODY_PIECE);
    } else if (this.failure && this.bytes.length === 0) {
      this.content.replaceChildren();
    } else {
      this.content.replaceChildren(this.drawn(view));
    }
    if (this.failure) this.notes.push(this.failure);
    this.note.textContent = this.notes.join(" ");
    this.note.hidden = this.notes.length === 0;
    this.wrap.hidden = !this.isPlain;
    this.wrap.setAttribute("aria-pressed", String(this.isWrapped));
    this.showFoot();
  }

  /** What is to be known of a view, beside the body's type and size. */
  remarkOn(view) {
    if (view === "Preview") return " · without scripts and without what it would load";
    return this.body.masked ? " · secrets are masked" : "";
  }

  showFoot() {
    const text = this.view === "Fields" ? bodyExtent(this.body, 0, null) : bodyExtent(this.body, this.bytes.length, this.total);
    const left = this.view === "Fields" || this.total === null ? 0 : this.total - this.bytes.length;
    this.extent.textContent = text;
    this.moreButton.hidden = left <= 0 && !(this.failure && this.total === null);
    this.moreButton.textContent = this.failure ? "Try again" : `Load ${formatSize(Math.min(left, BODY_PIECE))} more`;
    this.allButton.hidden = left <= BODY_PIECE;
    this.foot.hidden = text === "" && this.moreButton.hidden;
    // Who waits for the tree is not to look for the buttons below its text.
    const next = this.view === "Tree" && left > 0 ? this.content : null;
    if (this.foot.nextSibling !== next) this.root.insertBefore(this.foot, next);
  }

  drawn(view) {
    if (view === "Tree") return this.tree();
    if (view === "Picture") return this.picture();
    if (view === "Preview") return this.page();
    if (view === "Hex") return this.hex();
    return this.text();
  }

  fields() {
    const { fields } = this.body;
    if (fields.length === 0) return h("p", { class: "flaskserve-dim" }, "No fields.");
    return h(
      "table",
      { class: "flaskserve-table flaskserve-facts", "aria-label": `${this.title}: ${formatCount(fields.length, "field")}` },
      h("tbody", null, fields.map(([name, value, isMasked, filename]) => h(
        "tr",
        null,
        h("th", { scope: "row" }, name),
        h(
          "td",
          { class: isMasked ? "flaskserve-masked" : null },
          filename ? h("span", { class: "flaskserve-badge" }, `file ${filename}`) : null,
          filename && value ? " " : null,
          value,
        ),
      ))),
    );
  }

  text() {
    this.isPlain = true;
    return this.plain(decodeText(this.bytes, this.body.charset, this.isWhole));
  }

  plain(text) {
    return h(
      "pre",
      {
        class: `flaskserve-code flaskserve-body-text${this.isWrapped ? "" : " flaskserve-body-unwrapped"}`,
        // A line that is too long is scrolled to, also by keyboard.
        tabindex: this.isWrapped ? null : "0",
        role: this.isWrapped ? null : "region",
        "aria-label": this.isWrapped ? null : this.title,
      },
      text,
    );
  }

  tree() {
    if (!this.isWhole) {
      if (this.body.kept >= this.body.size) this.notes.push("It becomes a tree when all of it is loaded.");
      return this.text();
    }
    const text = decodeText(this.bytes, this.body.charset, true);
    const node = readJson(text);
    if (node !== null) return jsonTree(node);
    if (this.body.kept < this.body.size) {
      this.notes.push("It was not kept to its end, so it is shown as text.");
      return this.text();
    }
    const problem = jsonProblem(text);
    if (problem === null) return this.text();
    this.notes.push(`This is not valid JSON: line ${problem.line}, column ${problem.column}: ${problem.message}.`);
    this.isPlain = true;
    return this.marked(text, problem);
  }

  /** Text with the place of an error marked. */
  marked(text, { line, column }) {
    const lines = text.split("\n");
    const before = lines.slice(0, line - 1).join("\n") + (line > 1 ? "\n" : "");
    const characters = [...(lines[line - 1] ?? "")];
    const start = before + characters.slice(0, column - 1).join("");
    const mark = characters[column - 1] ?? "⏎";
    const rest = text.slice(start.length + (characters[column - 1]?.length ?? 0));
    return this.plain([start, h("mark", { class: "flaskserve-body-mark" }, mark), rest]);
  }

  picture() {
    if (this.total > LARGEST_PICTURE) {
      this.notes.push(`A picture of ${formatSize(this.total)} is not shown here.`);
      return this.hex();
    }
    if (!this.isWhole) {
      if (!this.failure) this.more(Infinity);
      return h("p", { class: "flaskserve-dim" }, this.failure ? "" : "Loading…");
    }
    if (this.body.kept < this.body.size) this.notes.push("It was not kept to its end, so a part of it is missing.");
    const address = URL.createObjectURL(new Blob([this.bytes], { type: this.body.type }));
    const caption = h("figcaption", { class: "flaskserve-dim" }, "…");
    const picture = h("img", {
      src: address,
      alt: `The picture that is the ${this.title.toLowerCase()}`,
      onload: () => {
        URL.revokeObjectURL(address);
        caption.textContent = `${picture.naturalWidth} × ${picture.naturalHeight} pixels`;
      },
      onerror: () => {
        URL.revokeObjectURL(address);
        caption.textContent = "The browser cannot show this picture.";
        picture.remove();
      },
    });
    return h("figure", { class: "flaskserve-body-picture" }, picture, caption);
  }

  page() {
    if (!this.isWhole) this.notes.push("The page is shown as far as it is loaded.");
    return h("iframe", {
      class: "flaskserve-body-page",
      sandbox: "",
      referrerpolicy: "no-referrer",
      title: `Preview: ${this.title.toLowerCase()}`,
      srcdoc: harmlessPage(decodeText(this.bytes, this.body.charset, this.isWhole)),
    });
  }

  hex() {
    return h(
      "pre",
      { class: "flaskserve-code flaskserve-body-hex", tabindex: "0", role: "region", "aria-label": `${this.title} in hexadecimal` },
      hexLines(this.bytes).map(({ offset, hex, ascii }) => `${offset}  ${hex}  ${ascii}`).join("\n"),
    );
  }
}
