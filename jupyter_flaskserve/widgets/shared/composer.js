// The composer: a request edited by hand, sent to the app, and what came back.

import { announce, h, uid } from "./dom.js";
import { appUrl } from "./inspector.js";
import { bodyView, loadedBody } from "./body.js";
import { formatDuration, formatSize } from "./format.js";
import { jsonProblem } from "./json_position.js";
import { indentJson } from "./json_tree.js";
import { argumentProblem, buildPath, encodePairs, headerProblem, joinTarget, parsePairs, readTarget, splitTarget, uuidPattern } from "./targets.js";

const COMMON_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const BODY_KINDS = [
  ["none", "None"],
  ["form", "Form"],
  ["json", "JSON"],
  ["text", "Text"],
  ["file", "File"],
];
const SECRET_NAMES = /auth|cookie|token|secret|passw|api-?key|session|csrf/i;
const BODY_TYPES = { json: "application/json", text: "text/plain; charset=utf-8" };

/**
 * A field of a form: text, or a file, which is null until it is chosen.
 * @typedef {[string, string | Blob | null]} FormField
 */

/**
 * What a person has put together.
 * @typedef {{method: string, target: string, headers: [string, string][], bodyKind: string, text: string,
 *   fields: FormField[], file: Blob | Uint8Array | null}} Draft
 */

/**
 * Which kind of editor suits a body that was recorded, and what goes into it.
 * @param {[string, string][]} headers
 * @param {string | Uint8Array | null | undefined} body
 * @returns {{bodyKind: string, text: string, fields: [string, string][], file: Uint8Array | null}}
 */
export function draftBody(headers, body) {
  const nothing = { bodyKind: "none", text: "", fields: [], file: null };
  if (!body?.length) return nothing;
  const type = headerValue(headers, "content-type").toLowerCase();
  let text = body;
  if (typeof body !== "string") {
    try {
      text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body);
    } catch {
      return { ...nothing, bodyKind: "file", file: body };
    }
  }
  if (type.startsWith("application/x-www-form-urlencoded")) return { ...nothing, bodyKind: "form", fields: parsePairs(text) };
  if (/^[^;]*[/+]json\b/.test(type)) return { ...nothing, bodyKind: "json", text };
  // In an editor the line ends of a multipart body would be lost.
  if (type.startsWith("multipart/")) return { ...nothing, bodyKind: "file", file: new TextEncoder().encode(text) };
  return { ...nothing, bodyKind: "text", text };
}

/**
 * The request that a draft stands for. Content-Type follows the kind of body unless a header says otherwise; for a form
 * with a file the browser adds it, with the boundary.
 * @param {Draft} draft
 * @returns {{method: string, target: string, headers: [string, string][], body: string | FormData | Blob | Uint8Array | null,
 *   problem: string}} `problem` says why it cannot be sent
 */
export function composeRequest(draft) {
  const headers = draft.headers.filter(([name, value]) => name !== "" || value !== "");
  const request = { method: draft.method, target: draft.target, headers, body: null, problem: "" };
  const wrong = headers.map(([name, value]) => [name, headerProblem(name, value)]).find(([, problem]) => problem?.blocks);
  if (wrong) request.problem = `Header ${wrong[0]}: ${wrong[1].text}`;
  if (!takesBody(draft.method) || draft.bodyKind === "none") return request;
  const says = (type) => {
    if (type && !headerValue(headers, "content-type")) request.headers = [...headers, ["Content-Type", type]];
  };
  if (draft.bodyKind === "form") {
    const fields = draft.fields.filter(([name, value]) => name !== "" || value !== "");
    const missing = fields.find(([, value]) => value === null);
    if (missing) {
      request.problem ||= `Choose the file of the field ${missing[0] || "without a name"}.`;
    } else if (fields.some(([, value]) => typeof value !== "string")) {
      request.body = new FormData();
      for (const [name, value] of fields) request.body.append(name, value);
      request.headers = headers.filter(([name]) => name.toLowerCase() !== "content-type");
    } else {
      request.body = encodePairs(fields);
      says("application/x-www-form-urlencoded");
    }
  } else if (draft.bodyKind === "file") {
    request.body = draft.file;
    if (!draft.file) request.problem ||= "Choose the file to send.";
    else says(draft.file.type || "application/octet-stream");
  } else {
    request.body = draft.text;
    says(BODY_TYPES[draft.bodyKind]);
    const mistake = draft.bodyKind === "json" ? jsonProblem(draft.text) : null;
    if (mistake && draft.text.trim() === "") request.problem ||= "The JSON body is empty.";
  }
  return request;
}

/**
 * Whether browsers send a body with the method.
 * @param {string} method
 * @returns {boolean}
 */
export function takesBody(method) {
  return !["GET", "HEAD"].includes(method.toUpperCase());
}

/**
 * @param {number} status
 * @returns {string} the classes of a response's status
 */
export function statusClass(status) {
  return `flaskserve-badge flaskserve-status-${Math.floor(status / 100)}`;
}

function headerValue(headers, name) {
  return headers.find(([other]) => other.toLowerCase() === name)?.[1] ?? "";
}

/**
 * An editor for a request, and a view of its response.
 * @param {{inspector: any, address: string, root?: HTMLElement,
 *   initial?: {method?: string, target?: string, headers?: [string, string][], body?: string | Uint8Array | null, bodyKind?: string,
 *     text?: string, fields?: FormField[], file?: Blob | Uint8Array | null, values?: Record<string, string>, query?: [string, string][]},
 *   argumentsOf?: {parts: any[], arguments: any[], methods: string[]}}} options `address`: the
 *   app's URL path, ends with "/"; `root`: the panel, whose live region announces results; `argumentsOf`: a route, whose arguments
 *   get an input each in place of the target
 * @returns {{element: HTMLElement, send: () => Promise<void>, draft: () => any, close: () => void}} `draft()` gives what can be
 *   handed on as `initial` of another composer; `close()` stops a request that is under way
 */
export function composer({ inspector, address, root, initial = {}, argumentsOf: route }) {
  const start = splitTarget(initial.target ?? "/");
  const state = {
    method: (initial.method ?? "GET").toUpperCase(),
    path: start.path,
    query: initial.query ?? start.query,
    target: initial.target ?? "/", // as typed; what is typed is sent, be it odd
    headers: initial.headers ?? [],
    values: {},
    ...draftBody(initial.headers ?? [], initial.body),
  };
  for (const name of ["bodyKind", "text", "fields", "file"]) {
    if (initial[name] !== undefined) state[name] = initial[name];
  }
  for (const argument of route?.arguments ?? []) {
    state.values[argument.name] = initial.values?.[argument.name] ?? argument.example ?? argument.options?.[0] ?? "";
  }
  let controller = null;
  let isClosed = false;

  const element = h("form", { class: "flaskserve-composer", novalidate: true, "aria-label": "Request" });
  const methodSelect = methodInput();
  const targetView = route ? preview() : targetInput();
  const sendButton = h("button", { type: "submit", class: "flaskserve-button flaskserve-primary", title: "Send (Ctrl+Enter or Cmd+Enter)" }, "Send");
  const queryEditor = pairsEditor({
    label: "Query parameter",
    pairs: state.query,
    onChange: (pairs) => {
      state.query = pairs;
      state.target = joinTarget(state.path, pairs);
      targetView.show();
    },
  });
  const headersEditor = pairsEditor({
    label: "Header",
    pairs: state.headers,
    note: (name, value) => {
      const found = headerProblem(name, value);
      // In a page of another origin it is the kernel that sends, and it sends them all.
      return found?.blocks || !inspector.model?.get("other_origin") ? found : null;
    },
    onChange: (pairs) => {
      state.headers = pairs;
      sections.headers.count(pairs);
    },
  });
  const bodySection = bodyEditor(state);
  const sections = {
    query: foldedSection("Query", state.query, queryEditor.element),
    headers: foldedSection("Headers", state.headers, headersEditor.element),
  };
  const problem = h("p", { class: "flaskserve-bad", role: "alert", hidden: true });
  const result = h("section", { class: "flaskserve-composer-result", "aria-label": "Response", hidden: true });

  element.append(
    h("div", { class: "flaskserve-composer-line" }, methodSelect, targetView.element, sendButton),
    ...(route ? [argumentInputs()] : []),
    sections.query.element,
    sections.headers.element,
    bodySection.element,
    problem,
    result,
  );
  element.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  element.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      event.stopPropagation();
      send();
    } else if (event.key === "Escape" && controller) {
      event.preventDefault();
      event.stopPropagation();
      controller.abort();
    }
  });
  targetView.show();
  bodySection.show();

  function methodInput() {
    const names = [...new Set([...(route?.methods ?? COMMON_METHODS), state.method])].sort((one, other) => rank(one) - rank(other));
    return h(
      "select",
      {
        class: "flaskserve-input flaskserve-composer-method",
        "aria-label": "Method",
        value: state.method,
        onchange: () => {
          state.method = methodSelect.value;
          targetView.show();
          bodySection.show();
        },
      },
      names.map((name) => h("option", { value: name }, name)),
    );
    function rank(name) {
      const place = COMMON_METHODS.indexOf(name);
      return place < 0 ? COMMON_METHODS.length : place;
    }
  }

  /** The address that the arguments make, with a link that opens it. */
  function preview() {
    const text = h("span", { class: "flaskserve-composer-target" });
    const link = h("a", { class: "flaskserve-composer-open", target: "_blank", rel: "noopener" }, "Open");
    return {
      element: h("div", { class: "flaskserve-composer-address" }, text, link),
      show() {
        const target = currentTarget();
        text.textContent = target;
        text.title = `${address.replace(/\/$/, "")}${target}`;
        const href = appUrl(address, target, location.origin);
        link.hidden = state.method !== "GET" || !href;
        if (href) link.href = href;
        link.setAttribute("aria-label", `Open ${target} in a new tab`);
        sections.query.count(state.query);
      },
    };
  }

  /** The target as text, in step with the query's editor. */
  function targetInput() {
    const input = h("input", {
      type: "text",
      class: "flaskserve-input flaskserve-composer-target",
      "aria-label": "Path and query",
      spellcheck: "false",
      autocomplete: "off",
      autocapitalize: "off",
      value: state.target,
      oninput: () => {
        state.target = readTarget(input.value, address);
        const { path, query } = splitTarget(state.target);
        state.path = path;
        state.query = query;
        queryEditor.set(query);
        sections.query.count(query);
      },
    });
    return {
      element: input,
      show() {
        if (input.value !== state.target) input.value = state.target;
        sections.query.count(state.query);
      },
    };
  }

  function currentTarget() {
    if (!route) return state.target;
    return joinTarget(buildPath(route.parts, route.arguments, state.values), state.query);
  }

  function argumentInputs() {
    if (!route.arguments.length) return h("p", { class: "flaskserve-dim" }, "This rule has no arguments.");
    return h(
      "fieldset",
      { class: "flaskserve-composer-arguments" },
      h("legend", null, "Arguments"),
      route.arguments.map((argument) => argumentInput(argument)),
    );
  }

  function argumentInput(argument) {
    const id = uid("argument");
    const note = h("span", { class: "flaskserve-bad", id: `${id}-note` });
    const attributes = {
      id,
      class: "flaskserve-input",
      dataset: { field: argument.name },
      "aria-describedby": `${id}-type ${id}-note`,
      value: state.values[argument.name],
      oninput: () => {
        state.values[argument.name] = input.value;
        say();
        targetView.show();
      },
    };
    const input =
      argument.type === "any"
        ? h("select", attributes, (argument.options ?? []).map((option) => h("option", { value: option }, option)))
        : h("input", { ...attributes, ...inputAttributes(argument) });
    state.values[argument.name] = input.value;
    const say = () => {
      const wrong = argumentProblem(argument, input.value);
      note.textContent = wrong?.text ?? "";
      if (wrong) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    };
    return h(
      "div",
      { class: "flaskserve-composer-argument" },
      h("label", { for: id }, argument.name),
      input,
      h("span", { class: "flaskserve-dim", id: `${id}-type` }, argumentText(argument)),
      note,
    );
  }

  async function send() {
    if (controller) return;
    const request = composeRequest({ ...state, target: currentTarget() });
    const wrong = (route?.arguments ?? [])
      .map((argument) => [argument.name, argumentProblem(argument, state.values[argument.name])])
      .find(([, found]) => found?.blocks);
    if (wrong) request.problem = `${wrong[0]}: ${wrong[1].text}`;
    problem.textContent = request.problem;
    problem.hidden = !request.problem;
    if (request.problem) return;

    controller = new AbortController();
    const { signal } = controller;
    const cancelled = new Promise((resolve) => signal.addEventListener("abort", () => resolve(null)));
    const elapsed = waiting(() => controller?.abort());
    sendButton.setAttribute("aria-disabled", "true");
    try {
      const sending = inspector.sendToApp({
        method: request.method,
        target: request.target,
        headers: request.headers,
        body: request.body,
        signal,
      });
      sending.catch(() => {}); // where it is cancelled, nobody else looks at it
      const answer = await Promise.race([sending, cancelled]).finally(elapsed.stop);
      if (isClosed) return;
      if (answer === null) {
        showResult([h("p", { class: "flaskserve-dim" }, "Cancelled. The app may go on with the request.")]);
        tell("Cancelled");
      } else {
        showResult(resultParts(answer, request));
        tell(resultSentence(answer));
      }
    } catch (error) {
      showResult([h("p", { class: "flaskserve-bad" }, String(error?.message ?? error))]);
      tell(`Not sent: ${error?.message ?? error}`);
    } finally {
      controller = null;
      sendButton.removeAttribute("aria-disabled");
    }
  }

  function tell(text) {
    announce(root ?? element.closest(".flaskserve-panel") ?? element, text);
  }

  /** Shows that a request is under way, and for how long. The result before it stays below, so nothing jumps. */
  function waiting(cancel) {
    const seconds = h("span", { class: "flaskserve-dim" }, "Waiting for the app…");
    const line = h(
      "div",
      { class: "flaskserve-composer-waiting" },
      seconds,
      h("button", { type: "button", class: "flaskserve-button", onclick: cancel }, "Cancel"),
    );
    const begun = performance.now();
    const shown = setTimeout(() => {
      result.hidden = false;
      result.prepend(line);
    }, 150);
    const timer = setInterval(() => {
      seconds.textContent = `Waiting for the app… ${((performance.now() - begun) / 1000).toFixed(0)} s`;
    }, 1000);
    return {
      stop() {
        clearTimeout(shown);
        clearInterval(timer);
        const hadFocus = line.contains(document.activeElement);
        line.remove();
        if (hadFocus) sendButton.focus();
      },
    };
  }

  function showResult(parts) {
    result.replaceChildren(...parts);
    result.hidden = false;
    result.scrollIntoView?.({ block: "nearest" });
  }

  return {
    element,
    send,
    draft: () => ({
      method: state.method,
      target: currentTarget(),
      headers: state.headers,
      query: state.query,
      values: state.values,
      bodyKind: state.bodyKind,
      text: state.text,
      fields: state.fields,
      file: state.file,
    }),
    close() {
      isClosed = true;
      controller?.abort();
    },
  };
}

/**
 * An argument's type in words.
 * @param {{type: string, converter?: string, takes?: string}} argument as the inspector describes it
 * @returns {string}
 */
export function argumentText({ type, converter, takes }) {
  return [type === "custom" ? converter : type, takes].filter(Boolean).join(": ");
}

function inputAttributes(argument) {
  const text = { type: "text", spellcheck: "false", autocomplete: "off", autocapitalize: "off" };
  switch (argument.type) {
    case "int":
      return { type: "number", step: "1", min: argument.minimum, max: argument.maximum };
    case "float":
      return { type: "number", step: "any", min: argument.minimum, max: argument.maximum };
    case "uuid":
      return { ...text, pattern: uuidPattern };
    default:
      return text;
  }
}

/** A section that opens and says in its summary how much is in it. */
function foldedSection(title, pairs, content) {
  const summary = h("summary", null);
  const element = h("details", { class: "flaskserve-composer-section" }, summary, content);
  const count = (list) => {
    const filled = list.filter(([name, value]) => name !== "" || value !== "").length;
    summary.textContent = filled ? `${title} (${filled})` : title;
  };
  count(pairs);
  element.open = pairs.length > 0;
  return { element, count };
}

/**
 * Rows of a name and a value, with an empty one at the end.
 * @param {{label: string, pairs: any[], note?: (name: string, value: string) => {text: string, blocks: boolean} | null,
 *   onChange: (pairs: any[]) => void}} options
 * @returns {{element: HTMLElement, set: (pairs: any[]) => void, addFile: () => void}}
 */
function pairsEditor({ label, pairs, note, onChange }) {
  const list = h("div", { class: "flaskserve-composer-pairs" });
  let rows = [];

  const changed = () => {
    if (rows.at(-1)?.filled()) append(["", ""]);
    number();
    onChange(rows.filter((row) => row.filled()).map((row) => row.pair()));
  };

  const number = () => rows.forEach((row, index) => row.number(index + 1, index === rows.length - 1));

  function append(pair, before = null) {
    const row = pairRow(pair);
    if (before === null) {
      rows.push(row);
      list.append(row.element);
    } else {
      rows.splice(rows.indexOf(before), 0, row);
      before.element.before(row.element);
    }
    return row;
  }

  function pairRow([name, value], isFile = typeof value !== "string") {
    let file = isFile ? value : null;
    const nameInput = h("input", { type: "text", class: "flaskserve-input", placeholder: "Name", spellcheck: "false", autocomplete: "off", value: name, oninput: update });
    const valueInput = isFile
      ? h("input", { type: "file", class: "flaskserve-input", onchange: update })
      : h("input", { type: "text", class: "flaskserve-input", placeholder: "Value", spellcheck: "false", autocomplete: "off", value, oninput: update });
    const remove = h("button", { type: "button", class: "flaskserve-button flaskserve-quiet flaskserve-composer-remove", onclick: drop }, "×");
    const problem = h("span", { class: "flaskserve-dim flaskserve-composer-pair-note", id: uid("note") });
    nameInput.setAttribute("aria-describedby", problem.id);
    const row = {
      element: h("div", { class: "flaskserve-composer-pair" }, nameInput, valueInput, remove, problem),
      filled: () => isFile || nameInput.value !== "" || valueInput.value !== "",
      pair: () => [nameInput.value, isFile ? file : valueInput.value],
      number(count, last) {
        nameInput.setAttribute("aria-label", `${label} ${count}: name`);
        valueInput.setAttribute("aria-label", `${label} ${count}: ${isFile ? "file" : "value"}`);
        remove.setAttribute("aria-label", `Remove ${label.toLowerCase()} ${count}`);
        remove.style.visibility = last ? "hidden" : "";
      },
      focus: () => nameInput.focus(),
    };
    function update() {
      if (isFile && valueInput.files?.length) file = valueInput.files[0];
      say();
      changed();
    }
    function say() {
      valueInput.classList.toggle("flaskserve-composer-secret", !isFile && SECRET_NAMES.test(nameInput.value));
      const found = row.filled() && note ? note(nameInput.value, isFile ? "" : valueInput.value) : null;
      problem.textContent = found?.text ?? (isFile && file ? `${file.name}, ${formatSize(file.size)}` : "");
      problem.classList.toggle("flaskserve-bad", Boolean(found?.blocks));
    }
    function drop() {
      const place = rows.indexOf(row);
      rows.splice(place, 1);
      row.element.remove();
      rows[Math.min(place, rows.length - 1)].focus();
      changed();
    }
    say();
    return row;
  }

  function set(next) {
    if (JSON.stringify(next) === JSON.stringify(rows.filter((row) => row.filled()).map((row) => row.pair()))) return;
    rows = [];
    list.replaceChildren();
    for (const pair of next) append(pair);
    append(["", ""]);
    number();
  }

  for (const pair of pairs) append(pair);
  append(["", ""]);
  number();
  return {
    element: list,
    set,
    addFile() {
      const row = append(["", null], rows.at(-1));
      changed();
      row.focus();
    },
  };
}

/** The body: a choice of its kind, and an editor for each. */
function bodyEditor(state) {
  const name = uid("body");
  const note = h("p", { class: "flaskserve-dim" });
  const place = h("div", { class: "flaskserve-composer-body" });
  const kinds = h(
    "div",
    { class: "flaskserve-composer-kinds" },
    BODY_KINDS.map(([kind, title]) =>
      h(
        "label",
        null,
        h("input", {
          type: "radio",
          name,
          value: kind,
          checked: state.bodyKind === kind,
          onchange: () => {
            state.bodyKind = kind;
            show();
          },
        }),
        ` ${title}`,
      ),
    ),
  );
  const element = h("fieldset", { class: "flaskserve-composer-body-section" }, h("legend", null, "Body"), kinds, place, note);
  const editors = { form: formEditor, json: textEditor, text: textEditor, file: fileEditor };

  function show() {
    const takes = takesBody(state.method);
    kinds.hidden = !takes;
    if (!takes) {
      place.replaceChildren();
      note.textContent = state.bodyKind === "none" ? "" : `Browsers send no body with ${state.method}; what you typed is kept.`;
      element.hidden = state.bodyKind === "none";
      return;
    }
    element.hidden = false;
    note.textContent = "";
    place.replaceChildren(...(editors[state.bodyKind]?.() ?? []));
  }

  function formEditor() {
    const say = () => {
      const withFile = state.fields.some(([, value]) => typeof value !== "string");
      note.textContent = withFile ? "Sent as multipart/form-data, since it has a file." : "Sent as application/x-www-form-urlencoded.";
    };
    const fields = pairsEditor({
      label: "Field",
      pairs: state.fields,
      onChange: (pairs) => {
        state.fields = pairs;
        say();
      },
    });
    say();
    return [fields.element, h("button", { type: "button", class: "flaskserve-button", onclick: fields.addFile }, "Add a file")];
  }

  function textEditor() {
    const isJson = state.bodyKind === "json";
    const mistake = h("p", { class: "flaskserve-bad", id: uid("mistake") });
    const area = h("textarea", {
      class: "flaskserve-input flaskserve-composer-text",
      "aria-label": isJson ? "JSON body" : "Text body",
      "aria-describedby": mistake.id,
      rows: "5",
      spellcheck: "false",
      placeholder: isJson ? '{"name": "value"}' : null,
      value: state.text,
      oninput: () => {
        state.text = area.value;
        check();
      },
    });
    const format = h("button", {
      type: "button",
      class: "flaskserve-button",
      onclick: () => {
        area.value = indentJson(area.value);
        state.text = area.value;
      },
    }, "Indent");
    const check = () => {
      const found = isJson && area.value.trim() !== "" ? jsonProblem(area.value) : null;
      mistake.textContent = found ? `Line ${found.line}, column ${found.column}: ${found.message}.` : "";
      mistake.hidden = !found;
      format.disabled = Boolean(found) || area.value.trim() === "";
      if (found) area.setAttribute("aria-invalid", "true");
      else area.removeAttribute("aria-invalid");
    };
    check();
    return isJson ? [area, mistake, format] : [area];
  }

  function fileEditor() {
    const about = h("p", { class: "flaskserve-dim" });
    const say = () => {
      about.textContent = state.file ? `${state.file.name ?? "The recorded body"}, ${formatSize(state.file.size ?? state.file.length)}.` : "The file's bytes are the body.";
    };
    say();
    const input = h("input", {
      type: "file",
      class: "flaskserve-input",
      "aria-label": "File to send as the body",
      onchange: () => {
        if (input.files.length) state.file = input.files[0];
        say();
      },
    });
    return [input, about];
  }

  return { element, show };
}

/** One sentence about an answer, for the live region. */
function resultSentence(answer) {
  if (answer.error) return answer.error;
  return `Answer: ${[answer.status, answer.reason].filter(Boolean).join(" ")} in ${formatDuration(answer.ms)}`;
}

/** What came back: hops, status and timing, headers, body. */
function resultParts(answer, request) {
  const last = answer.rows.at(-1);
  const parts = [];
  if (answer.rows.length > 1) parts.push(hopList(answer.rows.slice(0, -1)));
  if (answer.status) {
    const facts = [formatDuration(answer.ms)];
    if (last?.ms != null) facts.push(`${formatDuration(last.ms)} in the app`);
    facts.push(`${formatSize(answer.bytes.length)}${answer.cut ? " (the first of more)" : ""}`);
    parts.push(
      h(
        "p",
        { class: "flaskserve-composer-status" },
        h("span", { class: statusClass(answer.status) }, [answer.status, answer.reason].filter(Boolean).join(" ")),
        answer.rows.length > 1 ? h("code", null, `${last.method} ${last.path}`) : null,
        h("span", { class: "flaskserve-dim" }, facts.join(" · ")),
      ),
    );
  }
  if (answer.error) parts.push(h("p", { class: "flaskserve-bad" }, answer.error));
  if (last?.failed) parts.push(h("p", { class: "flaskserve-bad" }, last.failed));
  if (answer.note) parts.push(h("p", { class: "flaskserve-dim" }, answer.note));
  if (!answer.status) return parts;
  parts.push(
    h(
      "details",
      { class: "flaskserve-composer-section" },
      h("summary", null, `Response headers (${answer.headers.length})`),
      h(
        "dl",
        { class: "flaskserve-composer-headers" },
        answer.headers.map(([name, value]) => [h("dt", null, name), h("dd", null, value)]),
      ),
    ),
  );
  parts.push(answer.bytes.length ? answerBody(answer) : h("p", { class: "flaskserve-dim" }, request.method === "HEAD" ? "A response to HEAD has no body." : "The body is empty."));
  return parts;
}

function hopList(rows) {
  return h(
    "ol",
    { class: "flaskserve-composer-hops", "aria-label": "Redirects" },
    rows.map((row) =>
      h(
        "li",
        null,
        h("span", { class: statusClass(row.status ?? 0) }, row.status ?? "…"),
        h("code", null, `${row.method} ${row.path}`),
        h("span", { class: "flaskserve-dim" }, formatDuration(row.ms)),
      ),
    ),
  );
}

function answerBody({ headers, bytes, cut }) {
  return bodyView({ title: "Response body", ...loadedBody(headerValue(headers, "content-type"), bytes, cut) });
}
