/** Making elements, and telling screen readers. */

/**
 * Makes an element.
 *
 * @param {string} tag
 * @param {Object<string, any>|null} [attributes] `class`; `on…` with a function is a listener; `dataset` an object; `value`,
 *   `checked`, `disabled`, `open` and the like are set as they are; `true` gives an empty attribute;
 *   `false`, `null` and `undefined` leave it out.
 * @param {...any} children strings, nodes, arrays of them; `null`, `undefined` and `false` are left out
 * @returns {HTMLElement}
 */
export function h(tag, attributes, ...children) {
  return fillElement(document.createElement(tag), attributes, children);
}

/**
 * Makes an element of a drawing; takes what {@link h} takes.
 *
 * @param {string} tag
 * @param {Object<string, any>|null} [attributes]
 * @param {...any} children
 * @returns {SVGElement}
 */
export function svg(tag, attributes, ...children) {
  return fillElement(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

/** Properties of elements that an attribute would set only at the beginning. */
const LIVE_PROPERTIES = ["value", "checked", "indeterminate", "selected", "srcObject"];

function fillElement(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on") && typeof value === "function") {
      element.addEventListener(name.slice(2).toLowerCase(), value);
    } else if (name === "dataset") {
      for (const [key, text] of Object.entries(value)) {
        if (text !== null && text !== undefined) element.dataset[key] = String(text);
      }
    } else if (name === "style" && typeof value === "object") {
      Object.assign(element.style, value);
    } else if (LIVE_PROPERTIES.includes(name)) {
      continue; // after the children: a list box has no value before it has its options
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children.flat(Infinity).filter(isShown));
  for (const name of LIVE_PROPERTIES) {
    const value = attributes?.[name];
    if (value !== null && value !== undefined) element[name] = value;
  }
  return element;
}

function isShown(child) {
  return child !== null && child !== undefined && child !== false && child !== true;
}

let uidCount = 0;

/**
 * An id that no other element of the page has.
 *
 * @param {string} [prefix]
 * @returns {string}
 */
export function uid(prefix = "part") {
  uidCount += 1;
  return `flaskserve-${prefix}-${UID_START}-${uidCount}`;
}

// Each bundle has a count of its own, and a notebook may have several.
const UID_START = Math.random().toString(36).slice(2, 8);

/** What is to be said in which panel: the last text, and the timer that will say it. */
const announcements = new WeakMap();

/**
 * Lets screen readers say a text when they have time: at most one in a second, the last one.
 *
 * @param {HTMLElement} root the panel; gets the live region when it is first needed
 * @param {string} text
 */
export function announce(root, text) {
  let said = announcements.get(root);
  if (said === undefined) {
    const region = h("div", { class: "flaskserve-hidden", role: "status", "aria-live": "polite" });
    root.append(region);
    said = { region, text: "", timer: null };
    announcements.set(root, said);
  }
  said.text = text;
  if (said.timer === null) {
    said.timer = setTimeout(() => {
      said.timer = null;
      // A text that is there already would not be said again.
      said.region.textContent = said.region.textContent === said.text ? `${said.text}\u00a0` : said.text;
    }, 1000);
  }
}
