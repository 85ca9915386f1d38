// The Routes panel: an app's rules, which of them a URL goes to, and requests to try them with.

import { announce, h, uid } from "./shared/dom.js";
import { downloadJson } from "./shared/download.js";
import { Inspector } from "./shared/inspector.js";
import { argumentText, composer } from "./shared/composer.js";
import { formatCount } from "./shared/format.js";
import { pythonTokens } from "./shared/python.js";

const METHOD_ORDER = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
const OVERSCAN = 8; // rows drawn beyond those that can be seen, on either side
const TYPING_PAUSE = 180; // milliseconds
const ORDERS = {
  match: ", in match order: where several fit a URL, the highest here wins.",
  defined: ", in the order in which the code defines them. Which of several wins is told by match order.",
};

// What is shown, as functions of what is known

/**
 * @param {any[]} routes
 * @param {string} order "match" or "defined"
 * @returns {any[]} a new list
 */
export function sortRoutes(routes, order) {
  const place = order === "defined" ? "defined" : "index";
  return [...routes].sort((one, other) => one[place] - other[place]);
}

/**
 * The routes that have every word of a text somewhere in their rule, methods, endpoint, view or docstring.
 * @param {any[]} routes
 * @param {string} text
 * @returns {any[]}
 */
export function filterRoutes(routes, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return routes;
  return routes.filter((route) => {
    const all = [route.host, route.rule, route.endpoint, route.view, route.doc_first, ...route.methods].join("\n").toLowerCase();
    return words.every((word) => all.includes(word));
  });
}

/**
 * The methods worth a badge: HEAD and OPTIONS, which Flask adds by itself, only where there is nothing else.
 * @param {string[]} methods
 * @returns {string[]}
 */
export function shownMethods(methods) {
  const place = (method) => (METHOD_ORDER.includes(method) ? METHOD_ORDER.indexOf(method) : METHOD_ORDER.length);
  const sorted = [...methods].sort((one, other) => place(one) - place(other));
  const own = sorted.filter((method) => method !== "HEAD" && method !== "OPTIONS");
  return own.length ? own : sorted;
}

/**
 * A word for each route that stays the same while the routes around it change.
 * @param {any[]} routes in match order
 * @returns {string[]}
 */
export function routeKeys(routes) {
  const seen = new Map();
  return routes.map((route) => {
    const word = JSON.stringify([route.host, route.rule, route.endpoint, route.websocket, route.methods]);
    const count = seen.get(word) ?? 0;
    seen.set(word, count + 1);
    return count ? `${word}#${count}` : word;
  });
}

/**
 * Where a route went when the routes changed: itself, or the only one that its endpoint has now.
 * @param {string} key
 * @param {any} route as it was
 * @param {Map<string, any>} routes as they are, by key
 * @returns {string | null}
 */
export function followRoute(key, route, routes) {
  if (routes.has(key)) return key;
  const same = [...routes].filter(([, other]) => other.endpoint === route.endpoint && other.websocket === route.websocket);
  return same.length === 1 ? same[0][0] : null;
}

/**
 * Which rows of a list are to be drawn.
 * @param {number} scrollTop in pixels
 * @param {number} height of what can be seen, in pixels
 * @param {number} rowHeight in pixels
 * @param {number} count all rows
 * @returns {[number, number]} the first, and the one after the last
 */
export function rowsInView(scrollTop, height, rowHeight, count) {
  const first = Math.min(Math.max(0, Math.floor(scrollTop / rowHeight) - OVERSCAN), Math.max(0, count - 1));
  return [first, Math.min(count, Math.ceil((scrollTop + height) / rowHeight) + OVERSCAN)];
}

/**
 * Where an arrow key leads to in a list.
 * @param {string} key
 * @param {number} from
 * @param {number} count
 * @param {number} page rows on a page
 * @returns {number | null} null for keys that lead nowhere
 */
export function rowAfterKey(key, from, count, page) {
  const to = { ArrowDown: from + 1, ArrowUp: from - 1, PageDown: from + page, PageUp: from - page, Home: 0, End: count - 1 }[key];
  return to === undefined ? null : Math.max(0, Math.min(count - 1, to));
}

/**
 * What the matching of a URL says about one route.
 * @param {any} match as the inspector gives it
 * @param {number} index
 * @returns {{wins: boolean, text: string} | null}
 */
export function outcomeOf(match, index) {
  if (match.winner === index) {
    if (match.outcome === "redirect") return { wins: true, text: "Redirects." };
    const values = Object.entries(match.arguments).map(([name, value]) => `${name} = ${value}`);
    return { wins: true, text: values.length ? `Wins, with ${values.join(", ")}` : "Wins" };
  }
  const other = match.reasons.get(index);
  return other === undefined ? null : { wins: false, text: other };
}

/**
 * The mark of a rule that can probably never match, and why.
 * @param {{text: string, methods: string[]}} unreachable
 * @returns {{mark: string, why: string}}
 */
export function unreachableMark({ text, methods }) {
  const [, start, why] = /^(.*?) can probably never match: (.*)$/s.exec(text) ?? ["", "It", text];
  return { mark: start === "It" ? "probably never matches" : `${methods.join(", ")} probably never matches`, why };
}

/**
 * How many routes there are: those of the code, and the one by which Flask serves static files.
 * @param {any[]} routes
 * @returns {string}
 */
export function routesText(routes) {
  const own = routes.filter((route) => !route.static);
  const folders = routes.filter((route) => route.static).map((route) => route.rule.replace(/\/<.*$/, ""));
  return formatCount(own.length, "route") + (folders.length ? ` and Flask's own ${folders.join(", ")}` : "");
}

/**
 * The paragraphs of a docstring. Lines that only a narrow editor broke are joined; lists and code stay as they are.
 * @param {string} doc
 * @returns {string[]}
 */
export function docParagraphs(doc) {
  return doc
    .split(/\n\s*\n/)
    .filter((paragraph) => paragraph.trim() !== "")
    .map((paragraph) => (/^(?:\s|[-*:>.]|\d+\.)/m.test(paragraph) ? paragraph : paragraph.replaceAll("\n", " ")));
}

// The panel

/**
 * @param {{model: any, el: HTMLElement}} widget
 * @returns {() => void} takes the panel away
 */
export default function render({ model, el }) {
  const inspector = new Inspector(model, el);
  let routes = null; // in match order; null until they are known
  let keys = [];
  let revision = null;
  let generation = null;
  let isStale = true;
  let openKey = null;
  let match = null;

  const notice = h("p", { class: "flaskserve-notice flaskserve-routes-notice", role: "status", hidden: true });
  const tester = matchTester({ inspector, root: el, onMatch: showMatch });
  const filter = h("input", {
    type: "search",
    class: "flaskserve-input flaskserve-routes-filter",
    placeholder: "Filter",
    "aria-label": "Filter the routes by rule, method, endpoint or docstring",
    spellcheck: "false",
    oninput: () => {
      showList();
      announce(el, caption.textContent);
    },
  });
  const order = h(
    "select",
    { class: "flaskserve-input", "aria-label": "Order", onchange: () => showList() },
    h("option", { value: "match" }, "Match order"),
    h("option", { value: "defined" }, "As defined"),
  );
  const exporter = h(
    "button",
    { type: "button", class: "flaskserve-button", title: "Downloads openapi.json, an OpenAPI 3.1 document", onclick: () => exportOpenApi() },
    "Export OpenAPI",
  );
  const caption = h("p", { class: "flaskserve-dim flaskserve-routes-caption", id: uid("caption") });
  const details = routeDetails({ inspector, root: el, onClose: () => open(null) });
  const table = routeTable({ captionId: caption.id, detailsId: details.element.id, onToggle: (key) => open(key === openKey ? null : key), onClose: () => open(null) });
  const empty = h("div", { class: "flaskserve-routes-empty", hidden: true });
  const list = h(
    "div",
    { class: "flaskserve-routes-list" },
    tester.element,
    h("div", { class: "flaskserve-toolbar" }, filter, order, caption, exporter),
    table.element,
    empty,
  );
  const split = h("div", { class: "flaskserve-routes-split" }, list, details.element);
  let sender = null; // where there are no routes to try
  el.append(notice, split);

  const stopNews = inspector.onNews(async (news) => {
    const isSame = news === null || (news.revision === revision && news.generation === (generation ?? news.generation));
    generation = news?.generation ?? generation;
    if (isSame && !isStale) return;
    isStale = true;
    await load();
  });
  const stopConnection = inspector.onConnection(showConnection);

  async function load() {
    let answer;
    try {
      answer = await inspector.get("routes");
    } catch (error) {
      if (routes === null && inspector.connection === "connected") showEmpty(error.message);
      throw error;
    }
    revision = answer.revision;
    isStale = false;
    if (!answer.is_flask) {
      showNotFlask();
      return;
    }
    if (sender !== null) showFlask();
    const isFirst = routes === null;
    const before = new Map((routes ?? []).map((route, index) => [keys[index], route]));
    routes = sortRoutes(answer.routes, "match");
    keys = routeKeys(routes);
    const now = new Map(keys.map((key, index) => [key, routes[index]]));
    if (openKey !== null) {
      const next = followRoute(openKey, before.get(openKey) ?? details.route(), now);
      if (next === null) {
        details.gone();
      } else {
        openKey = next;
        details.show(now.get(next), { isOther: false });
      }
    }
    showList();
    if (!isFirst) tester.again();
  }

  function showList() {
    if (routes === null) return;
    details.judge(match && details.route() ? outcomeOf(match, details.route().index) : null);
    const byRoute = new Map(routes.map((route, index) => [route, keys[index]]));
    const shown = sortRoutes(filterRoutes(routes, filter.value), order.value);
    caption.replaceChildren(
      filter.value.trim() ? `${shown.length.toLocaleString("en")} of ${formatCount(routes.length, "rule")}` : routesText(routes),
      h("span", { class: "flaskserve-routes-order" }, ORDERS[order.value]),
    );
    table.show(shown.map((route) => ({ key: byRoute.get(route), route })), { openKey, match });
    if (!routes.some((route) => !route.static)) {
      showEmpty("No routes yet. Run a cell that defines one, and it appears here.", true);
    } else if (!shown.length) {
      showEmpty("No route has these words.", false);
    } else {
      empty.hidden = true;
    }
  }

  function showEmpty(text, withRows = false) {
    empty.hidden = false;
    empty.replaceChildren(h("p", null, text));
    table.element.hidden = !withRows || !routes?.length;
  }

  function showNotFlask() {
    if (sender !== null) return;
    el.classList.add("flaskserve-routes-other");
    sender = composer({ inspector, address: inspector.address, root: el });
    split.replaceChildren(
      h(
        "div",
        { class: "flaskserve-routes-about", role: "group", "aria-label": "Request to the app" },
        h("p", null, "This is not a Flask app, so its routes are not known. It answers requests all the same:"),
        sender.element,
      ),
    );
  }

  function showFlask() {
    sender.close();
    sender = null;
    el.classList.remove("flaskserve-routes-other");
    split.replaceChildren(list, details.element);
  }

  function showConnection() {
    // What comes after may be another kernel, whose revisions begin anew.
    isStale ||= inspector.connection === "lost";
    notice.hidden = inspector.connection !== "lost";
    notice.textContent = inspector.lostText;
  }

  function showMatch(next) {
    match = next;
    el.classList.toggle("flaskserve-routes-matching", match !== null);
    showList();
    const winner = match === null ? -1 : match.winner ?? -1;
    if (winner >= 0 && keys[winner] !== undefined) table.reveal(keys[winner]);
  }

  function open(key) {
    const hadFocus = details.element.contains(document.activeElement);
    const closed = openKey;
    openKey = key;
    el.classList.toggle("flaskserve-routes-open", key !== null);
    if (key === null) details.hide();
    else details.show(routes[keys.indexOf(key)], { isOther: true });
    showList();
    if (key !== null) {
      table.reveal(key);
      // In a narrow column the details stand in the list's place.
      if (list.offsetParent === null) details.focus();
    } else if (hadFocus || document.activeElement === document.body) {
      table.focus(closed);
    }
  }

  async function exportOpenApi() {
    try {
      const openApi = { ...(await inspector.get("openapi")), servers: [{ url: inspector.url }] };
      downloadJson("openapi.json", JSON.stringify(openApi, null, 2));
      announce(el, "Exported openapi.json");
    } catch (error) {
      caption.textContent = `The document cannot be exported: ${error.message}`;
      announce(el, caption.textContent);
    }
  }

  return () => {
    stopNews();
    stopConnection();
    tester.close();
    details.hide();
    sender?.close();
    table.close();
    inspector.close();
  };
}

/** A rule with its converters and arguments marked. */
function ruleParts(route) {
  const text = route.parts.map((part) => {
    if (part.kind !== "argument") return part.text;
    const [before, after] = splitAtLast(part.text, part.argument ?? "");
    return h(
      "span",
      { class: "flaskserve-routes-argument" },
      h("span", { class: "flaskserve-routes-converter" }, before),
      h("b", null, part.argument),
      h("span", { class: "flaskserve-routes-converter" }, after),
    );
  });
  return [route.host ? h("span", { class: "flaskserve-dim" }, route.host) : null, ...text];
}

/** `<int:id>` around its last `id`. */
function splitAtLast(text, name) {
  const at = text.lastIndexOf(name);
  return at < 0 || !name ? [text, ""] : [text.slice(0, at), text.slice(at + name.length)];
}

function methodBadges(route, methods = shownMethods(route.methods)) {
  if (route.websocket) return [h("span", { class: "flaskserve-badge flaskserve-routes-method" }, "WebSocket")];
  return methods.map((method) => h("span", { class: "flaskserve-badge flaskserve-routes-method", dataset: { method } }, method));
}

/** The table: only rows that can be seen are drawn, and the one that has the focus. */
function routeTable({ captionId, detailsId, onToggle, onClose }) {
  const body = h("tbody", { role: "rowgroup" });
  const grid = h(
    "table",
    { role: "table", class: "flaskserve-routes-table", "aria-label": "Routes", "aria-describedby": captionId },
    h(
      "thead",
      { role: "rowgroup" },
      h(
        "tr",
        { role: "row", "aria-rowindex": "1" },
        ["Rule", "Methods", "Endpoint"].map((title) => h("th", { role: "columnheader", scope: "col" }, title)),
        h("th", { role: "columnheader", scope: "col" }, "Description"),
      ),
    ),
    body,
  );
  const lastHead = grid.querySelector("th:last-child");
  const element = h("div", { class: "flaskserve-scroll flaskserve-routes-scroll" }, grid);
  const drawn = new Map(); // key → row
  let items = [];
  let places = new Map(); // key → place in items
  let shown = { openKey: null, match: null };
  let activeKey = null;
  let rowHeight = 30;
  let frame = 0;

  const draw = () => {
    frame = 0;
    const [first, end] = rowsInView(element.scrollTop, element.clientHeight || 600, rowHeight, items.length);
    const wanted = new Set();
    for (let place = first; place < end; place += 1) wanted.add(place);
    if (places.has(activeKey)) wanted.add(places.get(activeKey));
    const keep = new Set([...wanted].map((place) => items[place].key));
    for (const [key, row] of drawn) {
      if (!keep.has(key)) {
        row.element.remove();
        drawn.delete(key);
      }
    }
    let next = body.firstChild;
    for (const place of [...wanted].sort((one, other) => one - other)) {
      const { key, route } = items[place];
      if (!drawn.has(key)) drawn.set(key, routeRow(key, detailsId));
      const row = drawn.get(key);
      row.fill(route, place, { isOpen: key === shown.openKey, isActive: key === activeKey, match: shown.match });
      row.element.style.top = `${place * rowHeight}px`;
      if (row.element === next) next = next.nextSibling;
      else body.insertBefore(row.element, next); // a row that has the focus is already in its place, unless the order changed
    }
  };
  const drawSoon = () => {
    frame ||= requestAnimationFrame(draw);
  };

  const measure = () => {
    const height = drawn.values().next().value?.element.getBoundingClientRect().height;
    if (!height || Math.abs(height - rowHeight) < 0.5) return;
    const top = element.scrollTop / rowHeight;
    rowHeight = height;
    body.style.height = `${items.length * rowHeight}px`;
    element.scrollTop = top * rowHeight;
    draw();
  };
  const observer = new ResizeObserver(() => {
    measure();
    drawSoon();
  });
  observer.observe(element);
  element.addEventListener("scroll", drawSoon, { passive: true });

  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (!row || String(getSelection?.() ?? "") !== "") return;
    activate(row.dataset.key);
    onToggle(row.dataset.key);
  });
  body.addEventListener("focusin", (event) => {
    const row = event.target.closest("tr");
    if (row) activate(row.dataset.key);
  });
  body.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || !event.target.closest("button")) return;
    if (event.key === "Escape" && shown.openKey !== null) {
      event.preventDefault();
      onClose();
      return;
    }
    const page = Math.max(1, Math.floor(element.clientHeight / rowHeight) - 2);
    const place = rowAfterKey(event.key, places.get(activeKey) ?? 0, items.length, page);
    if (place === null) return;
    event.preventDefault();
    focus(items[place].key);
  });

  function activate(key) {
    if (key === activeKey) return;
    const before = drawn.get(activeKey);
    activeKey = key;
    before?.tabbable(false);
    drawn.get(key)?.tabbable(true);
  }

  function reveal(key) {
    const place = places.get(key);
    if (place === undefined) return;
    const head = grid.tHead.offsetHeight;
    const top = place * rowHeight;
    const room = element.clientHeight - head;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + rowHeight > element.scrollTop + room) element.scrollTop = top + rowHeight - room;
    draw();
  }

  function focus(key) {
    const found = places.has(key) ? key : items[0]?.key;
    if (found === undefined) return;
    activate(found);
    reveal(found);
    drawn.get(found)?.focus();
  }

  return {
    element,
    reveal,
    focus,
    show(next, now) {
      const focused = document.activeElement?.closest?.("tr")?.dataset.key;
      items = next;
      places = new Map(items.map(({ key }, place) => [key, place]));
      shown = now;
      if (!places.has(activeKey)) activeKey = now.openKey !== null && places.has(now.openKey) ? now.openKey : items[0]?.key ?? null;
      lastHead.textContent = now.match ? "Why, or why not" : "Description";
      grid.setAttribute("aria-rowcount", String(items.length + 1));
      body.style.height = `${items.length * rowHeight}px`;
      element.hidden = !items.length;
      draw();
      measure();
      if (focused !== undefined && drawn.has(focused) && !drawn.get(focused).hasFocus()) drawn.get(focused).focus();
    },
    close() {
      observer.disconnect();
      cancelAnimationFrame(frame);
    },
  };
}

function routeRow(key, detailsId) {
  const rule = h("span", { class: "flaskserve-routes-rule" });
  const button = h("button", { type: "button", class: "flaskserve-routes-toggle", "aria-controls": detailsId }, rule);
  const cells = [0, 1, 2].map(() => h("td", { role: "cell" }));
  const element = h("tr", { role: "row", dataset: { key } }, h("td", { role: "cell" }, button), cells);
  let filled = null;

  function fill(route, place, { isOpen, isActive, match }) {
    element.setAttribute("aria-rowindex", String(place + 2));
    element.classList.toggle("flaskserve-routes-even", place % 2 === 1);
    button.setAttribute("aria-expanded", String(isOpen));
    button.tabIndex = isActive ? 0 : -1;
    element.classList.toggle("flaskserve-routes-current", isOpen);
    if (filled?.route === route && filled.match === match) return;
    filled = { route, match };
    rule.replaceChildren(...ruleParts(route).filter(Boolean));
    button.title = route.rule;
    const [methods, endpoint, about] = cells;
    methods.replaceChildren(...methodBadges(route));
    methods.title = shownMethods(route.methods).join(", ");
    endpoint.replaceChildren(route.endpoint);
    endpoint.title = route.endpoint;
    const outcome = match && outcomeOf(match, route.index);
    element.classList.toggle("flaskserve-routes-winner", Boolean(outcome?.wins));
    element.classList.toggle("flaskserve-routes-loser", Boolean(outcome && !outcome.wins));
    about.replaceChildren(...(outcome ? outcomeParts(outcome) : aboutParts(route)));
    about.title = about.textContent;
  }

  return {
    element,
    fill,
    tabbable: (yes) => {
      button.tabIndex = yes ? 0 : -1;
    },
    focus: () => button.focus({ preventScroll: true }),
    hasFocus: () => document.activeElement === button,
  };
}

function outcomeParts(outcome) {
  if (!outcome.wins) return [h("span", { class: "flaskserve-dim" }, outcome.text)];
  return [h("b", { class: "flaskserve-good" }, outcome.text)];
}

function aboutParts(route) {
  if (route.unreachable) {
    const { mark, why } = unreachableMark(route.unreachable);
    return [h("span", { class: "flaskserve-badge flaskserve-warning" }, mark), ` ${why}`];
  }
  const parts = [];
  if (route.static) parts.push(h("span", { class: "flaskserve-badge" }, "static"), " ");
  if (route.build_only) parts.push(h("span", { class: "flaskserve-badge" }, "only for url_for"), " ");
  if (route.alias) parts.push(h("span", { class: "flaskserve-badge" }, "alias"), " ");
  parts.push(route.doc_first || (route.static ? "Files of the static folder" : ""));
  return parts;
}

/** The tester: a method and a URL, and what becomes of them. */
function matchTester({ inspector, root, onMatch }) {
  const id = uid("tester");
  const method = h(
    "select",
    { class: "flaskserve-input", "aria-label": "Method of the request to test", onchange: () => ask() },
    METHOD_ORDER.map((name) => h("option", { value: name }, name)),
  );
  const url = h("input", {
    type: "text",
    id,
    class: "flaskserve-input flaskserve-routes-url",
    placeholder: "A URL, such as /users/7",
    spellcheck: "false",
    autocomplete: "off",
    autocapitalize: "off",
    "aria-describedby": `${id}-outcome`,
    oninput: () => {
      clearTimeout(timer);
      timer = setTimeout(ask, url.value.trim() ? TYPING_PAUSE : 0);
    },
    onkeydown: (event) => {
      if (event.key === "Escape" && url.value) {
        event.preventDefault();
        event.stopPropagation();
        test("");
      } else if (event.key === "Enter") {
        event.preventDefault();
        ask();
      }
    },
  });
  const outcome = h("div", { class: "flaskserve-routes-outcome", id: `${id}-outcome`, hidden: true });
  const clear = h("button", { type: "button", class: "flaskserve-button flaskserve-quiet flaskserve-routes-cross", "aria-label": "Clear the URL", title: "Clear (Esc)", onclick: () => test(""), style: { visibility: "hidden" } }, "×");
  const element = h(
    "div",
    { class: "flaskserve-routes-tester", role: "group", "aria-label": "Which rule matches?" },
    h("div", { class: "flaskserve-toolbar" }, h("label", { for: id }, "Which rule matches?"), method, url, clear),
    outcome,
  );
  let timer = 0;
  let asked = 0;

  function test(text, withMethod = method.value) {
    url.value = text;
    method.value = withMethod;
    url.focus();
    ask();
  }

  async function ask({ quietly = false } = {}) {
    clearTimeout(timer);
    asked += 1;
    const question = asked;
    const text = url.value.trim();
    clear.style.visibility = text ? "" : "hidden";
    if (!text) {
      outcome.hidden = true;
      onMatch(null);
      return;
    }
    try {
      const match = await inspector.get("match", { url: text, method: method.value });
      if (question !== asked) return;
      match.reasons = new Map(match.others.map((other) => [other.index, other.reason]));
      say(match);
      onMatch(match);
      if (!quietly) announce(root, match.text);
    } catch (error) {
      if (question !== asked) return;
      outcome.replaceChildren(h("span", { class: "flaskserve-bad" }, error.message));
      outcome.hidden = false;
      onMatch(null);
    }
  }

  function say(match) {
    const digit = Math.floor(match.status / 100);
    const word = match.outcome === "match" ? "Match" : String(match.status || "No match");
    const actions = [];
    if (match.redirect_to) {
      actions.push(h("button", { type: "button", class: "flaskserve-button", onclick: () => test(match.redirect_to) }, "Follow the redirect"));
    }
    for (const allowed of shownMethods(match.allowed)) {
      actions.push(h("button", { type: "button", class: "flaskserve-button", onclick: () => test(url.value, allowed) }, `Test ${allowed}`));
    }
    outcome.replaceChildren(h("span", { class: `flaskserve-badge flaskserve-status-${digit}` }, word), h("span", { class: "flaskserve-routes-sentence" }, match.text), ...actions);
    outcome.hidden = false;
  }

  return {
    element,
    again: () => {
      if (url.value.trim()) ask({ quietly: true });
    },
    close: () => clearTimeout(timer),
  };
}

/** What is known of one route, and a request to try it with. */
function routeDetails({ inspector, root, onClose }) {
  const id = uid("details");
  const back = h("button", { type: "button", class: "flaskserve-button flaskserve-quiet flaskserve-routes-back", "aria-label": "Close the details", title: "Close (Esc)", onclick: onClose },
    h("span", { class: "flaskserve-routes-back-word", "aria-hidden": "true" }, "‹ All routes"),
    h("span", { class: "flaskserve-routes-cross", "aria-hidden": "true" }, "×"));
  const rule = h("h3", { class: "flaskserve-routes-title", id: `${id}-title` });
  const verdict = h("p", { class: "flaskserve-routes-verdict", hidden: true });
  const marks = h("div", { class: "flaskserve-routes-marks" });
  const about = h("div", { class: "flaskserve-routes-about" });
  const tryIt = h("div", { class: "flaskserve-routes-try" });
  const source = h("pre", { class: "flaskserve-code flaskserve-routes-source", tabindex: "0", role: "region", "aria-label": "Source of the view" });
  const sourceSection = h("section", { class: "flaskserve-routes-section" }, h("h4", null, "Source"), source);
  const body = h("div", { class: "flaskserve-routes-details-body", tabindex: "-1" }, verdict, marks, about, tryIt, sourceSection);
  const element = h(
    "section",
    { class: "flaskserve-routes-details", id, "aria-labelledby": `${id}-title`, hidden: true },
    h("div", { class: "flaskserve-routes-head" }, back, rule),
    body,
  );
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    event.preventDefault();
    event.stopPropagation();
    onClose();
  });
  let route = null;
  let requests = null;
  let isGone = false;

  /** Shows a route: another one, or the same as it is now, of which all that was typed is kept. */
  function show(next, { isOther }) {
    if (!isOther && !isGone && JSON.stringify(route) === JSON.stringify(next)) return;
    element.hidden = false;
    isGone = false;
    showFacts(next);
    if (requests === null || isOther || shape(route) !== shape(next)) showRequests(next, isOther);
    if (source.textContent !== next.source) source.replaceChildren(...sourceParts(next.source));
    sourceSection.hidden = !next.source;
    if (isOther) body.scrollTop = 0;
    route = next;
  }

  const shape = (of) => JSON.stringify([of.parts, of.arguments, of.methods, of.websocket, of.build_only]);

  function showFacts(next) {
    rule.replaceChildren(...ruleParts(next).filter(Boolean));
    marks.replaceChildren(
      ...(next.unreachable ? [h("p", { class: "flaskserve-notice" }, h("b", null, "Probably never matches. "), next.unreachable.text)] : []),
    );
    const place = [next.cell || next.file, next.line ? `line ${next.line}` : ""].filter(Boolean).join(", ");
    const facts = [
      ["Methods", next.websocket ? methodBadges(next) : methodBadges(next, sortedMethods(next.methods))],
      ["Endpoint", h("code", null, next.endpoint)],
      ["View", next.view ? [h("code", null, next.view), place ? ` in ${place}` : ""] : null],
      ...(canTry(next) ? [] : next.arguments.map((argument) => [h("code", null, argument.name), argumentText(argument)])),
      ...Object.entries(next.defaults).map(([name, value]) => [h("code", null, name), [h("code", null, value), ", set by the rule"]]),
    ];
    about.replaceChildren(
      ...(next.doc
        ? docParagraphs(next.doc).map((paragraph) => h("p", { class: "flaskserve-routes-doc" }, paragraph))
        : [h("p", { class: "flaskserve-dim" }, "The view has no docstring.")]),
      h("dl", { class: "flaskserve-routes-facts" }, facts.filter(([, value]) => value).map(([name, value]) => [h("dt", null, name), h("dd", null, value)])),
    );
  }

  function showRequests(next, isOther) {
    const draft = requests && !isOther ? requests.draft() : { method: shownMethods(next.methods)[0] };
    const field = tryIt.contains(document.activeElement) ? document.activeElement.dataset.field : undefined;
    requests?.close();
    requests = null;
    if (!canTry(next)) {
      const why = next.websocket ? "This rule takes only WebSockets, which are not sent from here." : "No request reaches this rule: it is only for url_for.";
      tryIt.replaceChildren(h("p", { class: "flaskserve-dim" }, why));
      return;
    }
    if (!next.methods.includes(draft.method)) draft.method = shownMethods(next.methods)[0];
    requests = composer({ inspector, address: inspector.address, root, initial: draft, argumentsOf: next });
    tryIt.replaceChildren(h("section", { class: "flaskserve-routes-section" }, h("h4", null, "Try it"), requests.element));
    if (field !== undefined) [...tryIt.querySelectorAll("[data-field]")].find((input) => input.dataset.field === field)?.focus();
  }

  return {
    element,
    show,
    route: () => route,
    /** Says what becomes of the URL that is tested. */
    judge(outcome) {
      verdict.hidden = !outcome;
      verdict.replaceChildren(...(outcome ? ["For the URL that is tested: ", ...outcomeParts(outcome)] : []));
    },
    gone() {
      isGone = true;
      marks.replaceChildren(h("p", { class: "flaskserve-notice" }, "The app has this rule no more."));
    },
    hide() {
      element.hidden = true;
      requests?.close();
      requests = null;
      route = null;
    },
    focus: () => back.focus(),
  };
}

function canTry(route) {
  return !route.websocket && !route.build_only;
}

function sortedMethods(methods) {
  const own = shownMethods(methods);
  return [...own, ...METHOD_ORDER.filter((method) => methods.includes(method) && !own.includes(method))];
}

function sourceParts(source) {
  return pythonTokens(source).map(({ kind, text }) => (kind ? h("span", { class: `flaskserve-python-${kind}` }, text) : text));
}
