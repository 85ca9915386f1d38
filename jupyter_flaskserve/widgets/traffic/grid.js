// A long list of rows of one height, of which only those in sight are in the page.

import { h } from "../shared/dom.js";
import { indexOfNumber } from "./log.js";

const SPARE = 4; // rows above and below those in sight
const END_SLACK = 4; // pixels from the end that still count as the end

/**
 * @typedef {{name: string, title: string, fill: (cell: HTMLElement, row: any) => void}} GridColumn
 */

/**
 * A list of rows by number (`n`), the newest last. It follows its end while the reader is there, else it stays
 * where the reader is. A row can be focused (arrow keys, Home, End, Page Up, Page Down) and opened (Enter).
 */
export class RequestGrid {
  #items = [];
  #elements = new Map(); // by number: the rows in the page
  #free = [];
  #active = null; // the number of the row that has, or would get, the focus
  #rowHeight = 28;
  #frame = 0;
  #observer;
  #seen = 0; // the number of the last row that has been in sight
  #first = 0; // how far down the first row in sight is: its number and its place
  #firstOffset = 0;
  #unseen = 0;

  /**
   * @param {{label: string, columns: GridColumn[], classOf: (row: any) => string, onOpen: (row: any, isByKey: boolean) => void,
   *   onMove: (row: any) => void, onUnseen: (count: number) => void}} options `onMove`: the keyboard has gone to another row
   */
  constructor({ label, columns, classOf, onOpen, onMove, onUnseen }) {
    this.columns = columns;
    this.classOf = classOf;
    this.onOpen = onOpen;
    this.onMove = onMove;
    this.onUnseen = onUnseen;
    /** @type {number|null} the number of the row whose details are open */
    this.selected = null;
    this.isFollowing = true;
    this.head = h(
      "div",
      { role: "row", class: "flaskserve-grid-row flaskserve-grid-head", "aria-rowindex": "1" },
      columns.map(({ name, title }) => h("div", { role: "columnheader", class: `flaskserve-cell-${name}` }, title)),
    );
    this.body = h("div", { role: "rowgroup", class: "flaskserve-grid-body", onkeydown: this.#onKey });
    this.element = h(
      "div",
      { role: "grid", class: "flaskserve-grid", "aria-label": label, "aria-colcount": columns.length, "aria-rowcount": "1", onscroll: this.#onScroll },
      h("div", { role: "rowgroup", class: "flaskserve-grid-top" }, this.head),
      this.body,
    );
    this.body.addEventListener("click", this.#onClick);
    this.body.addEventListener("focusin", this.#onFocus);
    this.#observer = new ResizeObserver(() => this.#onResize());
    this.#observer.observe(this.element);
  }

  close() {
    this.#observer.disconnect();
    cancelAnimationFrame(this.#frame);
  }

  /** Shows other rows. @param {{n: number}[]} items by their numbers; the array is kept */
  show(items) {
    this.#items = items;
    if (!items.some((item) => item.n === this.#active)) this.#active = null;
    this.redraw();
  }

  /** Draws in the next frame. */
  redraw() {
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  /** Goes to the end, and follows it. */
  follow({ focus = false } = {}) {
    this.isFollowing = true;
    if (focus) {
      this.#active = null;
      this.focus();
    }
    this.redraw();
  }

  /** Marks the row whose details are open, and brings it into sight. @param {number|null} number */
  select(number, { scroll = false } = {}) {
    this.selected = number;
    if (number !== null) {
      this.#active = number;
      if (scroll) this.#reveal(this.#indexOf(number));
    }
    this.redraw();
  }

  /** Puts the focus on the row that had it, or the last one. */
  focus() {
    if (this.#items.length === 0) return;
    if (this.#indexOf(this.#active) < 0) this.#active = this.#items[this.#items.length - 1].n;
    this.#reveal(this.#indexOf(this.#active));
    this.#draw();
    this.#elements.get(this.#active)?.row.focus({ preventScroll: true });
  }

  #indexOf(number) {
    if (number === null) return -1;
    const index = indexOfNumber(this.#items, number);
    return this.#items[index]?.n === number ? index : -1;
  }

  // Where the reader is

  /** Without the head, which is as high as a row. */
  get #viewHeight() {
    return Math.max(0, this.element.clientHeight - this.#rowHeight);
  }

  #onScroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = this.element;
    if (clientHeight === 0) return; // it is not shown
    // Rows that came since the last frame move the end, and the reader has not left it for that.
    const isAtEnd = scrollTop + clientHeight >= scrollHeight - END_SLACK;
    if (isAtEnd !== this.isFollowing) this.isFollowing = isAtEnd && !this.#holds;
    this.#noteFirst();
    this.redraw();
  };

  /** Whether the keyboard is on a row that is not the last one: the list does not move away under it. */
  get #holds() {
    const last = this.#items[this.#items.length - 1];
    return this.#active !== null && this.#active !== last?.n && this.body.contains(document.activeElement);
  }

  #noteFirst() {
    const index = Math.floor(this.element.scrollTop / this.#rowHeight);
    this.#first = this.#items[index]?.n ?? 0;
    this.#firstOffset = this.element.scrollTop - index * this.#rowHeight;
  }

  #onResize() {
    const size = Number.parseFloat(getComputedStyle(this.element).fontSize) || 13;
    this.#rowHeight = Math.max(24, Math.round((size * 28) / 13));
    this.element.style.setProperty("--flaskserve-row-height", `${this.#rowHeight}px`);
    this.#draw();
  }

  #reveal(index) {
    if (index < 0) return;
    const top = index * this.#rowHeight;
    const view = this.#viewHeight;
    let to = this.element.scrollTop;
    if (top < to) to = top;
    else if (top + this.#rowHeight > to + view) to = top + this.#rowHeight - view;
    if (to !== this.element.scrollTop) {
      this.body.style.height = `${this.#items.length * this.#rowHeight}px`;
      this.element.scrollTop = to;
    }
    this.isFollowing = index === this.#items.length - 1;
    this.#noteFirst();
  }

  // Drawing

  #draw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const items = this.#items;
    if (this.element.clientHeight === 0) return;
    if (this.isFollowing && this.#holds) this.isFollowing = false;
    this.body.style.height = `${items.length * this.#rowHeight}px`;
    this.element.setAttribute("aria-rowcount", String(items.length + 1));
    const end = Math.max(0, items.length * this.#rowHeight - this.#viewHeight);
    const stay = indexOfNumber(items, this.#first) * this.#rowHeight + this.#firstOffset;
    const top = this.isFollowing ? end : Math.min(end, stay);
    if (Math.abs(this.element.scrollTop - top) > 1) this.element.scrollTop = top;
    this.#noteFirst();
    const start = Math.max(0, Math.floor(top / this.#rowHeight) - SPARE);
    const stop = Math.min(items.length, Math.ceil((top + this.#viewHeight) / this.#rowHeight) + SPARE);
    this.#place(start, stop);
    this.#tellUnseen(Math.min(items.length, Math.floor((top + this.#viewHeight + END_SLACK) / this.#rowHeight)));
  }

  /** Puts the rows from `start` to `stop` into the page, and the one that has the focus. */
  #place(start, stop) {
    const indexes = [];
    for (let index = start; index < stop; index += 1) indexes.push(index);
    const active = this.#indexOf(this.#active);
    if (active >= 0 && active < start) indexes.unshift(active);
    else if (active >= stop) indexes.push(active);
    const wanted = new Set(indexes.map((index) => this.#items[index].n));
    const hadFocus = this.body.contains(document.activeElement);
    for (const [number, element] of this.#elements) {
      if (wanted.has(number)) continue;
      this.#elements.delete(number);
      element.row.remove();
      this.#free.push(element);
    }
    let next = this.body.firstChild;
    const tabStop = active >= 0 ? this.#active : this.#items[stop - 1]?.n;
    for (const index of indexes) {
      const item = this.#items[index];
      let element = this.#elements.get(item.n);
      if (element === undefined) {
        element = this.#free.pop() ?? this.#makeRow();
        this.#elements.set(item.n, element);
      }
      // The one with the focus is never moved, or it would lose it.
      if (element.row === next) next = next.nextSibling;
      else this.body.insertBefore(element.row, next);
      this.#fill(element, item, index, item.n === tabStop);
    }
    if (hadFocus && !this.body.contains(document.activeElement)) {
      this.#elements.get(tabStop)?.row.focus({ preventScroll: true }); // the row that had it is not kept any more
    }
  }

  #makeRow() {
    const cells = this.columns.map(({ name }) => h("div", { role: "gridcell", class: `flaskserve-cell-${name}` }));
    return { row: h("div", { role: "row", tabindex: "-1" }, cells), cells, item: null };
  }

  #fill(element, item, index, isTabStop) {
    const { row, cells } = element;
    if (element.item !== item) {
      element.item = item;
      row.className = `flaskserve-grid-row ${this.classOf(item)}`;
      this.columns.forEach((column, at) => column.fill(cells[at], item));
    }
    const transform = `translateY(${index * this.#rowHeight}px)`;
    if (row.style.transform !== transform) row.style.transform = transform;
    setIfOther(row, "aria-rowindex", String(index + 2));
    setIfOther(row, "aria-selected", String(item.n === this.selected));
    setIfOther(row, "tabindex", isTabStop ? "0" : "-1");
  }

  /** Counts the rows that came below those that have been in sight, which end before `stop`. */
  #tellUnseen(stop) {
    const last = this.#items[this.#items.length - 1]?.n ?? 0;
    if (last < this.#seen) this.#seen = 0; // the list has begun anew, or is filtered
    this.#seen = Math.max(this.#seen, this.isFollowing ? last : this.#items[stop - 1]?.n ?? 0);
    const unseen = this.#items.length - indexOfNumber(this.#items, this.#seen + 1);
    if (unseen !== this.#unseen) {
      this.#unseen = unseen;
      this.onUnseen(unseen);
    }
  }

  // The keyboard and the pointer

  #itemOf(target) {
    const row = target.closest("[role=row]");
    return [...this.#elements.values()].find((element) => element.row === row)?.item;
  }

  #onClick = (event) => {
    const item = this.#itemOf(event.target);
    if (item && getSelection().toString() === "") this.onOpen(item, false);
  };

  #onFocus = (event) => {
    this.#active = this.#itemOf(event.target)?.n ?? this.#active;
    this.redraw();
  };

  #onKey = (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const last = this.#items.length - 1;
    const at = this.#indexOf(this.#active);
    const page = Math.max(1, Math.floor(this.#viewHeight / this.#rowHeight) - 1);
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: last, PageDown: at + page, PageUp: at - page };
    if (event.key in moves) {
      const to = Math.min(last, Math.max(0, at < 0 ? last : moves[event.key]));
      this.#active = this.#items[to].n;
      this.#reveal(to);
      this.#draw();
      this.#elements.get(this.#active)?.row.focus({ preventScroll: true });
      this.onMove(this.#items[to]);
    } else if ((event.key === "Enter" || event.key === " ") && at >= 0) {
      this.onOpen(this.#items[at], true);
    } else {
      return;
    }
    event.preventDefault();
  };
}

function setIfOther(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}
