// What the page knows of the kernel's exchanges: the rows it keeps, and what it has not seen.

/**
 * What the list shows of one exchange.
 * @typedef {{n: number, method: string, path: string, status: number|null, ms: number|null, size: number, at: number,
 *   endpoint: string|null, kind: "http"|"stream"|"websocket", open: boolean, failed: string, in: number, out: number,
 *   tag: string|null}} Row
 */

/**
 * The kernel's answer to {@link RequestLog#question}.
 * @typedef {{generation: string, revision: number, stopped: boolean, first: number, last: number, cleared: number,
 *   rows: Row[]}} RowsAnswer
 */

/**
 * The rows that the kernel keeps, as far as they have come. It keeps the latest so many; what it has let
 * go goes here too, so there are never more rows here than there.
 */
export class RequestLog {
  constructor() {
    /** @type {Row[]} by their numbers */
    this.rows = [];
    /** @type {string|null} which record of exchanges the rows are from: another one after a restart of the kernel */
    this.generation = null;
    /** The last exchange that has been asked for. */
    this.cursor = 0;
    /** Exchanges that came and went between two answers, and so were never here. */
    this.missed = 0;
    /** Exchanges that are not kept any more, those that were cleared left out. */
    this.gone = 0;
    /** Whether the rows are those of a kernel that was restarted while the page was open. */
    this.isRestarted = false;
    this.isStopped = false;
    this.cleared = 0;
  }

  /** What to ask the kernel next. */
  get question() {
    const open = this.rows.filter((row) => row.open).map((row) => row.n);
    return { generation: this.generation, after: this.cursor, open };
  }

  /**
   * Takes in what the kernel answers.
   *
   * @param {RowsAnswer} answer
   * @returns {{added: Row[], changed: Row[], isChanged: boolean, isRestarted: boolean}} `added` are new here,
   *   `changed` were open before; `isChanged` tells whether anything is another than it was
   */
  take(answer) {
    const isFirst = this.generation === null;
    const isRestarted = !isFirst && answer.generation !== this.generation;
    const before = this.#state();
    if (answer.cleared !== this.cleared) {
      this.missed = 0;
      this.isRestarted = false;
    }
    if (isRestarted) {
      this.rows = [];
      this.cursor = 0;
      this.missed = 0;
      this.isRestarted = true;
    }
    this.generation = answer.generation;
    this.cleared = answer.cleared;
    this.isStopped = answer.stopped;
    if (!isFirst && !isRestarted) this.missed += countMissed(this.cursor, answer.first, answer.cleared);
    this.gone = Math.max(0, answer.first - 1 - answer.cleared);
    this.drop(answer.first, answer.cleared);
    const added = [];
    const changed = [];
    for (const row of answer.rows) {
      if (row.n > this.cursor) {
        this.rows.push(row);
        added.push(row);
      } else {
        const index = indexOfNumber(this.rows, row.n);
        if (this.rows[index]?.n !== row.n) continue;
        if (!isSameRow(this.rows[index], row)) changed.push(row);
        this.rows[index] = row;
      }
    }
    this.cursor = Math.max(this.cursor, answer.last, added[added.length - 1]?.n ?? 0);
    const isChanged = isRestarted || isFirst || added.length > 0 || changed.length > 0 || before !== this.#state();
    return { added, changed, isChanged, isRestarted };
  }

  /** What is told of the list as a whole, to see whether it is another. */
  #state() {
    return [this.rows[0]?.n, this.missed, this.gone, this.isStopped, this.cleared].join();
  }

  /** Lets go what the kernel has let go. */
  drop(first, cleared) {
    const kept = indexOfNumber(this.rows, Math.max(first, cleared + 1));
    if (kept > 0) this.rows.splice(0, kept);
  }

  /**
   * @param {number} number
   * @returns {Row|null}
   */
  row(number) {
    const row = this.rows[indexOfNumber(this.rows, number)];
    return row?.n === number ? row : null;
  }
}

/**
 * How many exchanges came and went between two answers.
 *
 * @param {number} cursor the last one that has been seen
 * @param {number} first the first one that is kept now
 * @param {number} cleared up to which they were cleared by a person, who does not miss them
 * @returns {number}
 */
export function countMissed(cursor, first, cleared) {
  return Math.max(0, first - 1 - Math.max(cursor, cleared));
}

/**
 * Where the first row is whose number is not below the given one.
 *
 * @param {{n: number}[]} rows by their numbers
 * @param {number} number
 * @returns {number} the number of rows where there is none
 */
export function indexOfNumber(rows, number) {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle].n < number) low = middle + 1;
    else high = middle;
  }
  return low;
}

function isSameRow(one, other) {
  return Object.keys(other).every((key) => one[key] === other[key]);
}
