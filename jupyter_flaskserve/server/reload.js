// Loads a page of an app again after a cell has changed the app. The kernel adds this script to the
// HTML pages of an app that is served with --reload.

"use strict";
(() => {
  const once = Symbol.for("jupyter_flaskserve.reload");
  if (window[once] || !document.currentScript) return;
  window[once] = true;

  const DELAY = 1000; // milliseconds between questions
  const LONGEST_DELAY = 10000; // the same, while the server or the app is away
  const base = new URL("../../", document.currentScript.src);
  const root = `${base.pathname}flaskserve/`;
  if (location.origin !== base.origin || !location.pathname.startsWith(root)) return;
  const name = location.pathname.slice(root.length).split("/")[0];
  const address = new URL(`api/flaskserve/mounts/${name}`, base);
  const place = `flaskserve-scroll ${location.pathname}${location.search}`;

  let delay = DELAY;
  let timer;
  let shown; // what the page shows: the start and the revision of its mount
  let isAsking = false;

  /** Ask again after a while, but only while somebody looks at the page. */
  function askLater() {
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(ask, delay);
  }

  async function ask() {
    if (isAsking) return;
    isAsking = true;
    delay = Math.min(delay * 1.5, LONGEST_DELAY);
    const headers = { Accept: "application/json" };
    // JupyterHub wants the token for every request that is not a navigation.
    const xsrf = document.cookie.match(/(?:^|; )_xsrf=([^;]+)/);
    if (xsrf) headers["X-XSRFToken"] = xsrf[1];
    try {
      const response = await fetch(address, {
        headers,
        cache: "no-store",
        credentials: "same-origin",
        signal: AbortSignal.timeout(10000),
      });
      const mount = response.ok ? await response.json() : {};
      if (mount.state === "serving") {
        delay = DELAY;
        compare(`${mount.started} ${mount.revision}`);
      }
    } catch {
      // The server is away, or does not answer in JSON: it may the next time.
    }
    isAsking = false;
    askLater();
  }

  function compare(now) {
    shown ??= now;
    if (shown === now) return;
    shown = now;
    try {
      sessionStorage.setItem(place, JSON.stringify([scrollX, scrollY]));
    } catch {
      // A page without storage starts at its top.
    }
    location.reload();
  }

  /** Scroll to where the page was before it loaded itself again. */
  function scrollBack() {
    try {
      const position = JSON.parse(sessionStorage.getItem(place));
      sessionStorage.removeItem(place);
      if (position) scrollTo({ left: position[0], top: position[1], behavior: "instant" });
    } catch {
      // There is no storage.
    }
  }

  if (document.readyState === "complete") scrollBack();
  else addEventListener("load", scrollBack, { once: true });
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    delay = DELAY;
    if (!document.hidden) ask();
  });
  ask();
})();
