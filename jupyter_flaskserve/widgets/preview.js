/** The app's pages in a frame, with an address bar and a history of its own. */

import { announce, h, uid } from "./shared/dom.js";
import { Inspector, appUrl } from "./shared/inspector.js";

const WIDTHS = [["Phone", 390], ["Tablet", 820], ["Full", null]]; // in pixels
const SANDBOX = "allow-same-origin allow-scripts allow-forms allow-popups allow-popups-to-escape-sandbox"
  + " allow-modals allow-downloads allow-pointer-lock";

/**
 * The path under the app's address that a person means.
 *
 * @param {string} text what was typed: a path of the app, with or without the app's address before it,
 *   or a full URL of it
 * @param {string} address the app's address, with a slash at its end
 * @param {string} origin the page's origin
 * @returns {string|null} such as `/users?page=2`; `null` where it is no address of the app
 */
export function targetOf(text, address, origin) {
  let target = text.trim();
  if (/^[a-z][a-z0-9+.-]*:/i.test(target)) return pathUnder(target, address, origin);
  if (target.startsWith(address) || `${target}/` === address) target = target.slice(address.length - 1) || "/";
  if (!/^[/?#]/.test(target)) target = `/${target}`;
  const url = appUrl(address, target, origin);
  return url === null ? null : pathUnder(url, address, origin);
}

/**
 * The part of a URL that is under the app's address.
 *
 * @param {string} href
 * @param {string} address
 * @param {string} origin
 * @returns {string|null} `null` where it is not the app's
 */
export function pathUnder(href, address, origin) {
  let url;
  try {
    url = new URL(href);
  } catch {
    return null;
  }
  const root = new URL(address, origin).pathname;
  const path = `${url.pathname}/` === root ? root : url.pathname;
  if (url.origin !== origin || !path.startsWith(root)) return null;
  return path.slice(root.length - 1) + url.search + url.hash;
}

/** Where one has been, and where one can go back and forward to. */
export class Visits {
  #list = [];
  #at = -1;

  /** The path that is shown; `undefined` before the first. */
  get current() {
    return this.#list[this.#at];
  }

  get canGoBack() {
    return this.#at > 0;
  }

  get canGoForward() {
    return this.#at < this.#list.length - 1;
  }

  /** Goes to a path; those ahead are forgotten. The one that is shown is no new visit. */
  visit(path) {
    if (path === this.current) return;
    this.#list.splice(this.#at + 1, Infinity, path);
    if (this.#list.length > 200) this.#list.shift();
    this.#at = this.#list.length - 1;
  }

  /** Notes that what is shown has another path, because the app redirected. */
  correct(path) {
    if (this.#at >= 0) this.#list[this.#at] = path;
  }

  /** @param {number} step -1 or 1 @returns {string|undefined} the path to show */
  go(step) {
    const at = this.#at + step;
    if (at < 0 || at >= this.#list.length) return undefined;
    this.#at = at;
    return this.current;
  }
}

/** The frame and what is around it. */
export default function render({ model, el }) {
  const inspector = new Inspector(model, el);
  const { address, name } = inspector;
  const notice = h("p", { class: "flaskserve-notice", hidden: true, role: "status" });
  if (model.get("other_origin")) {
    const { url } = inspector;
    notice.hidden = false;
    notice.append(
      `${name} is served from another address than this page, so it cannot be shown in it. Open it in a tab: `,
      h("a", { href: url, target: "_blank", rel: "noopener" }, url),
    );
    el.append(notice);
    return () => inspector.close();
  }

  const visits = new Visits();
  let isLoaded = false; // whether anything has been asked of the app
  let isAwaited = false; // whether the next page is one that was asked for here
  let isPosting = false; // whether a form is on its way
  let isPosted = false; // whether the page is the answer to a form, which must not be sent again
  let scroll = null; // where the page was, when it is loaded again by itself
  let seen = null; // the revision and generation of the app that is shown
  let width = null;

  const frame = h("iframe", { class: "flaskserve-page", title: `Preview of ${name}`, sandbox: SANDBOX });
  const stage = h("div", { class: "flaskserve-stage" }, frame);
  const button = (text, label, onclick) =>
    h("button", { type: "button", class: "flaskserve-button", "aria-label": label, title: label, onclick }, text);
  const back = button("←", "Back", () => move(-1));
  const forward = button("→", "Forward", () => move(1));
  const reload = button("↻", "Reload", () => loadAgain());
  const field = uid("address");
  const input = h("input", {
    id: field, class: "flaskserve-input flaskserve-address", type: "text", value: "/", spellcheck: "false",
    autocomplete: "off", autocapitalize: "off",
  });
  const bar = h(
    "form", { class: "flaskserve-bar", onsubmit: goThere },
    h("label", { for: field, class: "flaskserve-hidden" }, `Path under ${address}`),
    h("span", { class: "flaskserve-code flaskserve-dim flaskserve-root", "aria-hidden": "true", title: address }, address.replace(/\/$/, "")), input,
  );
  const tab = h(
    "a", { class: "flaskserve-button", href: address, target: "_blank", rel: "noopener", title: "Open this page in a tab" },
    "Open", h("span", { class: "flaskserve-hidden" }, " this page in a new tab"),
  );
  const widths = WIDTHS.map(([text, pixels]) => h("button", {
    type: "button", class: "flaskserve-button", "aria-pressed": String(pixels === width),
    title: pixels ? `${pixels} pixels wide` : "As wide as the panel",
    onclick: () => setWidth(pixels),
  }, text));
  const follow = h("input", { type: "checkbox", checked: true });
  el.append(
    h("div", { class: "flaskserve-toolbar" }, back, forward, reload, bar, tab,
      h("span", { role: "group", "aria-label": "Width", class: "flaskserve-widths" }, widths),
      h("label", { class: "flaskserve-field" }, h("span", null, follow, "Reload when a cell changes the app"))),
    notice, stage,
  );

  // Where the frame is

  /** The frame's path under the app's address; `null` where it shows what is not the app's. */
  function framePath() {
    try {
      return pathUnder(frame.contentWindow.location.href, address, location.origin);
    } catch {
      return null; // another origin, or the browser's own page that says it was refused
    }
  }

  function say(text) {
    if (notice.textContent !== text) notice.textContent = text;
    notice.hidden = !text;
  }

  function showPlace() {
    back.disabled = !visits.canGoBack;
    forward.disabled = !visits.canGoForward;
    if (visits.current === undefined) return;
    tab.href = appUrl(address, visits.current, location.origin) ?? address;
    if (document.activeElement !== input) input.value = visits.current;
  }

  // The browser's own history is JupyterLab's too: going back in it could leave JupyterLab. So places
  // are replaced in it, never added, and the way back is kept here.
  function load(path) {
    const url = appUrl(address, path, location.origin);
    if (url === null) return;
    isAwaited = true;
    isPosting = false;
    say("");
    if (!isLoaded) {
      isLoaded = true;
      frame.src = url;
      return;
    }
    try {
      const isSamePage = frame.contentWindow.location.href.split("#")[0] === url.split("#")[0];
      frame.contentWindow.location.replace(url);
      if (isSamePage && url.includes("#")) isAwaited = false; // nothing will be loaded
    } catch {
      stage.replaceChildren(frame); // out of another origin there is only a new beginning
      frame.src = url;
    }
  }

  function loadAgain() {
    if (!isLoaded || framePath() === null) {
      load(visits.current ?? "/");
      return;
    }
    isAwaited = true;
    const place = frame.contentWindow.location;
    if (isPosted) place.replace(place.href.split("#")[0]);
    else place.reload();
  }

  function move(step) {
    const path = visits.go(step);
    if (path !== undefined) load(path);
    showPlace();
  }

  function goThere(event) {
    event.preventDefault();
    const path = targetOf(input.value, address, location.origin);
    if (path === null) {
      const text = `Only pages of ${name} can be shown here. Type a path such as /about.`;
      say(text);
      input.setAttribute("aria-invalid", "true");
      return;
    }
    input.removeAttribute("aria-invalid");
    if (path === visits.current && isLoaded) {
      loadAgain();
    } else {
      visits.visit(path);
      load(path);
    }
    input.value = path;
    showPlace();
  }

  function followFrame() {
    const path = framePath();
    if (path === null) return false;
    if (isAwaited) visits.correct(path);
    else visits.visit(path);
    showPlace();
    return true;
  }

  // A link to "/" or a redirect may lead to JupyterLab, which is not to begin to work in here.
  function leaveJupyter() {
    try {
      const place = frame.contentWindow.location;
      if (place.href.startsWith(`${location.origin}/`) && framePath() === null) place.replace("about:blank");
    } catch {
      // It is of another origin.
    }
  }

  frame.addEventListener("load", () => {
    if (!isLoaded) return;
    leaveJupyter();
    const isOurs = followFrame();
    isAwaited = false;
    if (!isOurs) {
      say("This page cannot be shown here: it is not the app's, or it refuses to be shown in a frame. Open it in a tab.");
      return;
    }
    say("");
    isPosted = isPosting;
    isPosting = false;
    if (scroll !== null) frame.contentWindow.scrollTo(scroll.x, scroll.y);
    scroll = null;
    frame.contentDocument.addEventListener("submit", notePost, true);
  });

  function notePost(event) {
    isPosting = event.target.method === "post";
  }

  // Pages also change their address without being loaded.
  const watch = setInterval(() => {
    if (!isLoaded || !inspector.visible) return;
    leaveJupyter();
    if (!isAwaited) followFrame();
  }, 500);

  // How wide it is

  function setWidth(pixels) {
    width = pixels;
    WIDTHS.forEach(([, each], at) => widths[at].setAttribute("aria-pressed", String(each === width)));
    fit();
  }

  function fit() {
    const room = stage.clientWidth;
    const scale = width !== null && room > 0 && room < width ? room / width : 1;
    Object.assign(frame.style, {
      width: width === null ? "100%" : `${width}px`,
      height: `${100 / scale}%`,
      transform: scale === 1 ? "" : `scale(${scale})`,
      marginInline: width !== null && scale === 1 ? "auto" : "",
    });
  }

  const observer = new ResizeObserver(fit);
  observer.observe(stage);

  // When the app is another

  function reloadsItself() {
    try {
      return frame.contentDocument.querySelector('script[src*="/api/flaskserve/reload.js"]') !== null;
    } catch {
      return false;
    }
  }

  inspector.onNews(async (news) => {
    if (!isLoaded) {
      visits.visit("/");
      load("/");
      showPlace();
    }
    const { generation, revision, stopped } = news ?? await inspector.get("state");
    const now = `${generation} ${revision}`;
    if (seen !== null && seen !== now && follow.checked && !stopped && !reloadsItself()) {
      try {
        scroll = { x: frame.contentWindow.scrollX, y: frame.contentWindow.scrollY };
      } catch {
        scroll = null;
      }
      announce(el, "The app has changed; the page was loaded again.");
      loadAgain();
    }
    seen = now;
  });
  inspector.onConnection(() => {
    say(inspector.lostText);
  });
  showPlace();

  return () => {
    clearInterval(watch);
    observer.disconnect();
    inspector.close();
  };
}
