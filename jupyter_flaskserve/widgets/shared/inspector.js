/**
 * The panel's way to the kernel: what it asks the inspector of its mount, how it hears of news, and
 * how it sends requests to the app.
 *
 * It asks over HTTP, because messages to a kernel wait while a cell runs. Where the page has another
 * origin than Jupyter Server, as in an editor, HTTP does not get there, and it asks by messages.
 */

/** An answer that cannot be had, or one that says what is wrong. */
export class InspectorError extends Error {
  /**
   * @param {number} status the HTTP status, or 0 where there was no answer
   * @param {string} message for people
   */
  constructor(status, message) {
    super(message);
    this.name = "InspectorError";
    this.status = status;
  }
}

const RETRY = 2000; // milliseconds between two attempts to reach a kernel that is gone
const HEARTBEAT = 5000; // between two looks for news of which no message has come
const WITHOUT_MESSAGES = 1000; // the same where no messages can come
const MESSAGE_TIMEOUT = 15000; // for an answer by message
const FIRST_MESSAGE_TIMEOUT = 3000; // for the first one, when it is not known whether any can come
const MAX_BYTES = 8 * 1024 * 1024; // of an app's response

const AGAIN = "Run the cell with %flaskserve app again; this panel goes on by itself.";

/**
 * Why an answer that is not the inspector's came in its place.
 *
 * @param {number} status the HTTP status; 0 where there was no answer at all
 * @param {string} code the word for programs in the answer, if it has one
 * @param {string} name the mount's name
 * @returns {string} what the reader can do; empty where the connection is as it was
 */
export function lossText(status, code, name) {
  if (status === 0) return "Jupyter Server does not answer. This panel goes on by itself when it does.";
  if (status === 401 || status === 403) {
    return "Jupyter does not know you any more. Log in again in another tab; this panel then goes on by itself.";
  }
  if (code === "kernel-stopped" || code === "kernel-lost") return `The kernel has ended. ${AGAIN}`;
  if (status === 404) return `${name} is not served any more. ${AGAIN}`;
  return "";
}

// What the Fetch standard lets no script set: the browser would leave it out without a word.
const FORBIDDEN_HEADERS = new Set([
  "accept-charset", "accept-encoding", "access-control-request-headers",
  "access-control-request-method", "access-control-request-private-network", "connection",
  "content-length", "cookie", "cookie2", "date", "dnt", "expect", "host", "keep-alive", "origin",
  "referer", "set-cookie", "te", "trailer", "transfer-encoding", "upgrade", "via",
]);
const FORBIDDEN_METHODS = new Set(["CONNECT", "TRACE", "TRACK"]);

/**
 * Whether a browser sends a header that a script has set.
 *
 * @param {string} name
 * @returns {boolean}
 */
export function canSendHeader(name) {
  const lower = name.toLowerCase();
  return !FORBIDDEN_HEADERS.has(lower) && !lower.startsWith("proxy-") && !lower.startsWith("sec-");
}

/**
 * The address of a path of the app.
 *
 * @param {string} address the app's own address, with a slash at its end
 * @param {string} target a path under it, with its query, such as `/users/7?page=2`
 * @param {string} origin the page's origin
 * @returns {string|null} the full URL; `null` where the path leads out of the app
 */
export function appUrl(address, target, origin) {
  const path = target.startsWith("/") ? target.slice(1) : target;
  let url;
  try {
    url = new URL(address + path, origin);
  } catch {
    return null;
  }
  const root = new URL(address, origin);
  return url.origin === root.origin && url.pathname.startsWith(root.pathname) ? url.href : null;
}

/** @param {Uint8Array} bytes @returns {string} */
export function toBase64(bytes) {
  const pieces = [];
  for (let start = 0; start < bytes.length; start += 0x8000) {
    pieces.push(String.fromCharCode(...bytes.subarray(start, start + 0x8000)));
  }
  return btoa(pieces.join(""));
}

/** @param {string} text @returns {Uint8Array} */
export function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export class Inspector {
  /** "http" or "comm"; `null` until an answer has come. */
  #way = null;
  #asks = new Map(); // by id: who waits for an answer by message
  #newsListeners = new Map(); // callback → {running, again}
  #connectionListeners = new Set();
  #news = null; // the latest {last, revision, generation, stopped}
  #generation = null; // the one whose messages come, or would come
  #messagesCome = true;
  #onScreen = false;
  #observer = null;
  #visible = false;
  #missed = true; // whether there may have been news while nobody looked
  #asked = 0; // when the inspector answered last
  #timer = null;
  #closed = false;

  /**
   * @param {any} model the widget's model
   * @param {HTMLElement} el the panel's root: news are told while it can be seen
   */
  constructor(model, el) {
    this.model = model;
    this.el = el;
    /** The mount's name. */
    this.name = model.get("mount");
    /** The path of the inspector, with a slash at its end. */
    this.base = model.get("inspector");
    /** The app's address as a path, with a slash at its end. */
    this.address = model.get("address");
    /**
     * The same as a full URL. Only the page knows by which host browsers reach the server: the kernel
     * knows how programs beside it do.
     */
    this.url = model.get("other_origin") ? model.get("url") : new URL(this.address, location.origin).href;
    /** @type {"connected"|"lost"} */
    this.connection = "connected";
    /** What the reader is told while the connection is lost. */
    this.lostText = "";
    if (model.get("other_origin")) this.#way = "comm";
    model.on("msg:custom", this.#onMessage);
    document.addEventListener("visibilitychange", this.#look);
    this.#onScreen = typeof IntersectionObserver === "undefined";
    if (!this.#onScreen) {
      this.#observer = new IntersectionObserver((entries) => {
        this.#onScreen = entries[entries.length - 1].isIntersecting;
        this.#look();
      });
      this.#observer.observe(el);
    }
    this.#look();
  }

  /** Whether the page that the panel is in, and the panel in it, can be seen. */
  get visible() {
    return this.#visible;
  }

  /**
   * @param {string} path such as `routes`, under the inspector's own
   * @param {Object<string, any>} [query]
   * @returns {Promise<any>}
   * @throws {InspectorError}
   */
  async get(path, query) {
    return this.#read(await this.#ask("GET", withQuery(path, query), null));
  }

  /**
   * @param {string} path
   * @param {any} [json]
   * @returns {Promise<any>}
   * @throws {InspectorError}
   */
  async post(path, json = {}) {
    return this.#read(await this.#ask("POST", path, JSON.stringify(json)));
  }

  /**
   * @param {string} path
   * @param {Object<string, any>} [query]
   * @returns {Promise<{bytes: Uint8Array, total: number}>}
   * @throws {InspectorError}
   */
  async bytes(path, query) {
    const { bytes, headers } = await this.#ask("GET", withQuery(path, query), null);
    const total = headers.get("Flaskserve-Total");
    return { bytes, total: total === null ? bytes.length : Number(total) };
  }

  /**
   * Calls back when there may be news, while the panel can be seen: soon, then on messages of the
   * kernel, when it comes into view, after a reconnection, and now and then. A callback that returns
   * a promise is not called again before that is settled.
   *
   * @param {(news: {last: number, revision: number, generation: string, stopped: boolean}|null) => any} callback
   * @returns {() => void} ends it
   */
  onNews(callback) {
    this.#newsListeners.set(callback, { running: false, again: false });
    if (this.#visible && !this.#missed) this.#tell(callback);
    return () => this.#newsListeners.delete(callback);
  }

  /**
   * Calls back when the connection is lost or there again.
   *
   * @param {() => void} callback
   * @returns {() => void} ends it
   */
  onConnection(callback) {
    this.#connectionListeners.add(callback);
    return () => this.#connectionListeners.delete(callback);
  }

  /** Ends everything. */
  close() {
    this.#closed = true;
    this.model.off("msg:custom", this.#onMessage);
    document.removeEventListener("visibilitychange", this.#look);
    this.#observer?.disconnect();
    clearTimeout(this.#timer);
    this.#newsListeners.clear();
    this.#connectionListeners.clear();
    for (const { reject } of this.#asks.values()) reject(new InspectorError(0, "The panel was closed."));
    this.#asks.clear();
  }

  // Asking

  async #ask(method, path, body) {
    if (this.#way === "comm") return this.#askByMessage(method, path, body, MESSAGE_TIMEOUT);
    const answer = await this.#askByHttp(method, path, body);
    if (answer.ours) {
      this.#way = "http";
      return this.#checked(answer);
    }
    const loss = lossText(answer.status, answer.code, this.name);
    const mayBeElsewhere = ![401, 403].includes(answer.status) && !answer.code.startsWith("kernel-");
    if (this.#way === null && mayBeElsewhere) {
      try {
        const other = await this.#askByMessage(method, path, body, FIRST_MESSAGE_TIMEOUT);
        this.#way = "comm";
        return other;
      } catch (error) {
        if (error.status) throw error;
      }
    }
    if (loss) this.#lose(loss);
    throw new InspectorError(answer.status, loss || answer.message || `Jupyter Server answers ${answer.status}.`);
  }

  async #askByHttp(method, path, body) {
    const headers = { Accept: "application/json" };
    if (body !== null) headers["Content-Type"] = "application/json";
    let response;
    let bytes;
    try {
      // A redirect leads to a page to log in, which is no answer.
      response = await fetch(this.base + path, {
        method, body, headers, credentials: "same-origin", redirect: "manual", cache: "no-store",
      });
      bytes = new Uint8Array(await response.arrayBuffer());
    } catch {
      return { ours: false, status: 0, code: "", message: "" };
    }
    if (response.type === "opaqueredirect") return { ours: false, status: 403, code: "", message: "" };
    const ours = response.headers.has("Flaskserve-Inspector");
    const answer = { ours, status: response.status, headers: response.headers, bytes, code: "", message: "" };
    if (!response.ok || !ours) Object.assign(answer, errorOf(bytes));
    return answer;
  }

  async #askByMessage(method, path, body, timeout) {
    const id = uniqueTag();
    const answer = await new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#asks.delete(id);
        const text = "The kernel does not answer. While a cell runs, it cannot; this panel goes on by itself.";
        if (this.#way === "comm") this.#lose(text);
        reject(new InspectorError(0, text));
      }, timeout);
      this.#asks.set(id, {
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
        resolve: (value) => {
          clearTimeout(timer);
          resolve(value);
        },
      });
      try {
        this.model.send({ kind: "ask", id, method, path, body });
      } catch {
        this.#asks.delete(id);
        clearTimeout(timer);
        reject(new InspectorError(0, `The kernel cannot be reached. ${AGAIN}`));
      }
    });
    if (answer.status === 404 && !answer.headers.has("Flaskserve-Inspector")) {
      const text = lossText(404, "", this.name);
      this.#lose(text);
      throw new InspectorError(404, text);
    }
    return this.#checked(answer);
  }

  /** What the inspector itself has answered. */
  #checked(answer) {
    this.#asked = Date.now();
    this.#connect();
    if (answer.status >= 400) {
      throw new InspectorError(answer.status, errorOf(answer.bytes).message || `The inspector answers ${answer.status}.`);
    }
    return answer;
  }

  #read({ bytes }) {
    const json = bytes.length ? JSON.parse(new TextDecoder().decode(bytes)) : null;
    if (typeof json?.generation === "string") {
      this.#generation ??= json.generation;
      // Another generation is another kernel's: the one that sent messages is gone.
      if (json.generation !== this.#generation && this.#messagesCome) {
        this.#messagesCome = false;
        this.#schedule();
      }
    }
    return json;
  }

  #onMessage = (message, buffers) => {
    if (this.#closed) return;
    if (message.kind === "news") {
      this.#messagesCome = true;
      this.#generation = message.generation;
      this.#note(message);
      this.#tellAll();
    } else if (message.kind === "answer") {
      const waiting = this.#asks.get(message.id);
      if (waiting === undefined) return; // another tab asked
      this.#asks.delete(message.id);
      waiting.resolve({
        status: message.status,
        headers: new Headers(message.headers),
        bytes: asBytes(buffers?.[0]),
      });
    }
  };

  // The connection

  #lose(text) {
    const changed = this.connection !== "lost" || this.lostText !== text;
    this.connection = "lost";
    this.lostText = text;
    if (changed) {
      this.#missed = true;
      for (const callback of [...this.#connectionListeners]) callback();
      this.#schedule();
    }
  }

  #connect() {
    if (this.connection === "connected") return;
    this.connection = "connected";
    this.lostText = "";
    for (const callback of [...this.#connectionListeners]) callback();
    this.#missed = true;
    this.#look();
  }

  // News

  /** Notes whether the panel can be seen, and catches up when it can again. */
  #look = () => {
    if (this.#closed) return;
    this.#visible = this.#onScreen && document.visibilityState !== "hidden";
    clearTimeout(this.#timer);
    this.#timer = null;
    if (!this.#visible) return;
    if (this.#missed) {
      this.#missed = false;
      this.#tellAll();
    }
    this.#schedule();
  };

  #schedule() {
    clearTimeout(this.#timer);
    if (!this.#visible || this.#closed) return;
    let delay = this.#messagesCome ? HEARTBEAT : WITHOUT_MESSAGES;
    if (this.connection === "lost") delay = RETRY;
    this.#timer = setTimeout(() => this.#beat(), delay);
  }

  /** Looks for news itself: a message may have been lost, and a kernel that has ended sends none. */
  async #beat() {
    // By message it would wait with others behind a cell that runs.
    const needed = this.connection === "lost" || this.#way !== "comm";
    const idle = Date.now() - this.#asked >= (this.#messagesCome ? HEARTBEAT : WITHOUT_MESSAGES) * 0.9;
    if (needed && (idle || this.connection === "lost")) {
      try {
        const state = await this.get("state");
        const { revision, generation, stopped } = state;
        const isNew = this.#note({ last: state.requests.last, revision, generation, stopped });
        if (isNew || !this.#messagesCome) this.#missed = true;
      } catch {
        // #ask has told what is wrong.
      }
    }
    this.#look();
  }

  /** Keeps the latest news; tells whether they differ from those before. */
  #note({ last, revision, generation, stopped }) {
    const before = this.#news;
    this.#news = { last, revision, generation, stopped };
    return before === null || Object.keys(before).some((key) => before[key] !== this.#news[key]);
  }

  #tellAll() {
    if (!this.#visible) {
      this.#missed = true;
      return;
    }
    for (const callback of [...this.#newsListeners.keys()]) this.#tell(callback);
  }

  async #tell(callback) {
    const state = this.#newsListeners.get(callback);
    if (state === undefined) return;
    if (state.running) {
      state.again = true;
      return;
    }
    state.running = true;
    try {
      do {
        state.again = false;
        await callback(this.#news);
      } while (state.again && this.#newsListeners.has(callback) && this.#visible);
    } catch (error) {
      if (!(error instanceof InspectorError)) console.error(error);
      this.#missed = true; // the next beat tells it again
    } finally {
      state.running = false;
      if (state.again) this.#missed = true;
    }
  }

  // Requests to the app

  /**
   * Sends a request to the app through its address, as a page would.
   *
   * @param {{method: string, target: string, headers?: [string, string][],
   *   body?: Uint8Array|ArrayBuffer|string|FormData|Blob|null, tag?: string, signal?: AbortSignal}} request `target` is a path
   *   under the app's address with its query
   * @returns {Promise<{status: number, reason: string, headers: [string, string][],
   *   bytes: Uint8Array, cut: boolean, ms: number, firstByteMs: number, url: string,
   *   redirected: boolean, error: string, note: string, dropped: string[], tag: string,
   *   rows: any[]}>} `error` says why there is no response; `note` what was not sent as asked, and
   *   `dropped` names the headers; `cut` tells that only the first 8 MiB were read
   */
  async sendToApp({ method, target, headers = [], body = null, tag = uniqueTag(), signal }) {
    const sent = this.#way === "comm"
      ? await this.#sendByMessage({ method, target, headers, body, tag })
      : await this.#sendByFetch({ method, target, headers, body, tag, signal });
    sent.tag = tag;
    sent.rows = sent.unsent ? [] : await this.#rowsOf(tag);
    delete sent.unsent;
    const last = sent.rows[sent.rows.length - 1];
    if (sent.error && last?.status >= 300 && last.status < 400) {
      sent.error = `The app answered ${last.status}, a redirect that the browser does not follow for a panel.`;
      sent.status = last.status;
    }
    return sent;
  }

  async #sendByFetch({ method, target, headers, body, tag, signal }) {
    const upper = method.toUpperCase();
    const nothing = {
      status: 0, reason: "", headers: [], bytes: new Uint8Array(), cut: false, ms: 0, firstByteMs: 0,
      url: "", redirected: false, note: "", dropped: [],
    };
    const url = appUrl(this.address, target, location.origin);
    if (url === null) {
      return { ...nothing, unsent: true, error: "This path leads out of the app. It has to be under the app's address." };
    }
    if (FORBIDDEN_METHODS.has(upper)) {
      return { ...nothing, unsent: true, error: `Browsers do not send ${upper} requests.` };
    }
    const dropped = headers.map(([name]) => name).filter((name) => !canSendHeader(name));
    const notes = [];
    if (dropped.length) {
      const verb = dropped.length > 1 ? "were" : "was";
      notes.push(`${dropped.join(", ")} ${verb} not sent as given: the browser sets ${dropped.length > 1 ? "them" : "it"} itself.`);
    }
    let content = body;
    if ((upper === "GET" || upper === "HEAD") && !isEmptyBody(body)) {
      content = null;
      notes.push(`The body was not sent: browsers send none with ${upper}.`);
    }
    if (isEmptyBody(content)) content = null;
    let list;
    try {
      list = new Headers(headers.filter(([name]) => canSendHeader(name)));
      list.set("X-Flaskserve-Tag", tag);
    } catch (error) {
      return { ...nothing, unsent: true, dropped, error: `A header cannot be sent: ${error.message}` };
    }
    const result = { ...nothing, dropped, note: notes.join(" "), url, error: "" };
    const begun = performance.now();
    try {
      const response = await fetch(url, {
        method: upper, headers: list, body: content, credentials: "same-origin", cache: "no-store", signal,
      });
      result.firstByteMs = performance.now() - begun;
      Object.assign(result, {
        status: response.status, reason: response.statusText, headers: [...response.headers],
        url: response.url, redirected: response.redirected,
      });
      const { bytes, cut } = await readSome(response, MAX_BYTES);
      result.bytes = bytes;
      result.cut = cut;
    } catch (error) {
      if (error.name === "AbortError") result.error = "The request was stopped.";
      else if (result.status) result.error = "The response ended before it was complete.";
      else result.error = "There was no response that a browser can read.";
    }
    result.ms = performance.now() - begun;
    return result;
  }

  async #sendByMessage({ method, target, headers, body, tag }) {
    const list = [...headers];
    let bytes = new Uint8Array();
    if (!isEmptyBody(body)) {
      const packed = new Response(body); // as a browser would send it
      const type = packed.headers.get("Content-Type");
      if (type && !list.some(([name]) => name.toLowerCase() === "content-type")) list.push(["Content-Type", type]);
      bytes = new Uint8Array(await packed.arrayBuffer());
    }
    const result = {
      status: 0, reason: "", headers: [], bytes: new Uint8Array(), cut: false, ms: 0, firstByteMs: 0, url: "",
      redirected: false, note: "", dropped: [], error: "",
    };
    try {
      const answer = await this.post("send", {
        method: method.toUpperCase(), target, headers: list, body_base64: toBase64(bytes), tag,
      });
      Object.assign(result, {
        status: answer.status, reason: answer.reason, headers: answer.headers, ms: answer.ms,
        firstByteMs: answer.ms, url: answer.url, note: answer.note ?? "", bytes: fromBase64(answer.body_base64),
      });
    } catch (error) {
      result.error = error.message;
    }
    return result;
  }

  /** The exchanges that a request caused. They are noted by the time its response has ended. */
  async #rowsOf(tag) {
    let rows = [];
    for (const wait of [0, 50, 150, 400]) {
      if (wait) await pause(wait);
      try {
        rows = (await this.post("rows", { generation: null, after: 0, open: [], tag })).rows;
      } catch {
        return rows;
      }
      if (rows.length && rows.every((row) => !row.open)) break;
    }
    return rows;
  }
}

/** A word that nobody else has used. */
function uniqueTag() {
  const words = crypto.getRandomValues(new Uint32Array(3));
  return [...words].map((word) => word.toString(36)).join("");
}

function withQuery(path, query) {
  const text = new URLSearchParams(
    Object.entries(query ?? {}).filter(([, value]) => value !== null && value !== undefined),
  ).toString();
  return text ? `${path}?${text}` : path;
}

/** What an error of ours says: `{"error": code, "message": sentence}`. */
function errorOf(bytes) {
  try {
    const { error, message } = JSON.parse(new TextDecoder().decode(bytes));
    return { code: String(error ?? ""), message: String(message ?? "") };
  } catch {
    return { code: "", message: "" };
  }
}

function asBytes(buffer) {
  if (!buffer) return new Uint8Array();
  if (buffer instanceof ArrayBuffer) return new Uint8Array(buffer);
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

function isEmptyBody(body) {
  return body === null || body === undefined || body === "" || body.byteLength === 0 || body.size === 0;
}

/** The first bytes of a response; what goes on for ever is left there. */
async function readSome(response, limit) {
  if (!response.body) return { bytes: new Uint8Array(), cut: false };
  const reader = response.body.getReader();
  const parts = [];
  let size = 0;
  let cut = false;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(size + value.length > limit ? value.subarray(0, limit - size) : value);
    size += value.length;
    if (size > limit) {
      cut = true;
      await reader.cancel();
      break;
    }
  }
  const bytes = new Uint8Array(Math.min(size, limit));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return { bytes, cut };
}
