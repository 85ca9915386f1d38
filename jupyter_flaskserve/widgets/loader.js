/**
 * What a notebook stores of a panel: this. The panel's own module and stylesheet are fetched from the
 * kernel that shows it, so both are always of one version.
 */

import { keepKeys } from "./shared/keys.js";

/** Loads a panel and draws it. Returns what takes it away again. */
async function render({ model, el }) {
  el.classList.add("flaskserve-panel", `flaskserve-${model.get("module")}`);
  keepKeys(el);
  // The tabs around the panels are not ours, and their keys are to stay with them too.
  requestAnimationFrame(() => keepKeys(el.closest(".flaskserve-panels")));
  const status = el.appendChild(document.createElement("p"));
  status.setAttribute("role", "status");
  status.textContent = "Loading…";
  try {
    const panel = await load(model, el);
    const end = await panel.default({ model, el });
    status.remove();
    return end;
  } catch (error) {
    status.textContent = error.message;
    return undefined;
  }
}

async function load(model, el) {
  const file = `modules/${model.get("module")}`;
  const version = `?v=${model.get("version")}`;
  if (!model.get("other_origin")) {
    const path = model.get("inspector") + file;
    try {
      const [panel] = await Promise.all([
        import(new URL(`${path}.js${version}`, document.baseURI).href),
        link(el, `${path}.css${version}`),
      ]);
      return panel;
    } catch (error) {
      if (error instanceof SyntaxError) throw error;
      // Not where the page is: ask the kernel itself.
    }
  }
  const [module, css] = await Promise.all([
    ask(model, `${file}.js${version}`),
    ask(model, `${file}.css${version}`),
  ]);
  el.prepend(Object.assign(document.createElement("style"), { textContent: css }));
  const url = URL.createObjectURL(new Blob([module], { type: "text/javascript" }));
  try {
    return await import(url);
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** Adds a stylesheet; done when it holds. */
function link(el, href) {
  return new Promise((resolve, reject) => {
    const sheet = document.createElement("link");
    sheet.rel = "stylesheet";
    sheet.href = href;
    sheet.onload = resolve;
    sheet.onerror = () => {
      sheet.remove();
      reject(new Error("There is no stylesheet."));
    };
    el.prepend(sheet);
  });
}

/** What stands where the panel cannot be, as in a page that was made of a notebook. */
function unseen(model) {
  return `The panel ${model.get("module")} of ${model.get("mount")}. Run this cell to see it live.`;
}

/** Asks the kernel by a message, which waits where a cell is running. */
function ask(model, path) {
  const id = `${path} ${Math.random()}`;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(fail, 15000, "The kernel does not answer: it has ended, or is busy with a cell.");
    function end() {
      clearTimeout(timer);
      model.off("msg:custom", take);
    }
    function fail(reason) {
      end();
      reject(new Error(`${unseen(model)} ${reason}`));
    }
    function take(message, buffers) {
      if (message.kind !== "answer" || message.id !== id) return;
      if (message.status !== 200) return fail("The app is not served now.");
      end();
      resolve(new TextDecoder().decode(buffers[0]));
    }
    model.on("msg:custom", take);
    try {
      model.send({ kind: "ask", id, method: "GET", path, body: null });
    } catch {
      fail("The kernel cannot be reached.");
    }
  });
}

export default { render };
