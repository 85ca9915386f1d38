// Numbers as people read them. Numbers alone are made here, so that a column of them lines up.

const SIZE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/**
 * A number of bytes, such as `512 B` or `1.2 MiB`.
 *
 * @param {number|null|undefined} bytes
 * @returns {string} empty where there is none
 */
export function formatSize(bytes) {
  if (bytes === null || bytes === undefined) return "";
  let size = bytes;
  let unit = 0;
  // 1023.95 would be written 1024.0
  while (size >= (unit ? 1023.95 : 1024) && unit < SIZE_UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 || size >= 99.95 ? Math.round(size) : size.toFixed(1)} ${SIZE_UNITS[unit]}`;
}

/**
 * A span of time, such as `0.4 ms`, `12 ms`, `1.25 s` or `2 min 5 s`.
 *
 * @param {number|null|undefined} milliseconds
 * @returns {string} empty where there is none
 */
export function formatDuration(milliseconds) {
  if (milliseconds === null || milliseconds === undefined) return "";
  if (milliseconds < 9.95) return `${milliseconds.toFixed(1)} ms`;
  if (milliseconds < 999.5) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 9.995) return `${seconds.toFixed(2)} s`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/**
 * A count with its word: `1 request`, `1,204 requests`.
 *
 * @param {number} count
 * @param {string} word in the singular
 * @returns {string}
 */
export function formatCount(count, word) {
  return `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
}

/**
 * The time of day where the reader is, such as `14:03:09`.
 *
 * @param {number} seconds since the epoch
 * @returns {string}
 */
export function formatClock(seconds) {
  const date = new Date(seconds * 1000);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}

/**
 * Date and time where the reader is, to the millisecond.
 *
 * @param {number} seconds since the epoch
 * @returns {string}
 */
export function formatMoment(seconds) {
  const date = new Date(seconds * 1000);
  const day = [date.getFullYear(), date.getMonth() + 1, date.getDate()].map((part) => String(part).padStart(2, "0"));
  return `${day.join("-")} ${formatClock(seconds)}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}
