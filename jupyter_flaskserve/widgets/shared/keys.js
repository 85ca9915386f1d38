/** Whose the keys are that are pressed in a panel. */

/**
 * Keeps the keys that are pressed in an element from being commands of JupyterLab. It looks for the
 * attribute from what has the focus upwards, but before that for commands of any ":focus": so what has
 * the focus needs the attribute too.
 *
 * @param {HTMLElement|null} root
 */
export function keepKeys(root) {
  if (!root || root.hasAttribute("data-lm-suppress-shortcuts")) return;
  root.setAttribute("data-lm-suppress-shortcuts", "true");
  root.addEventListener("focusin", (event) => event.target.setAttribute("data-lm-suppress-shortcuts", "true"));
  // In cells JupyterLab prevents line breaks, and with them new lines in text areas and forms that Enter sends.
  root.addEventListener("beforeinput", (event) => {
    if (event.inputType === "insertLineBreak") event.stopPropagation();
  }, true);
}
