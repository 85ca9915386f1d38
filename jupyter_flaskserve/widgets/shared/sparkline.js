// Numbers over time as a small chart.

import { svg } from "./dom.js";

/**
 * The outline of a step chart: the numbers as columns side by side.
 *
 * @param {number[]} values
 * @param {number} width
 * @param {number} height
 * @returns {string} a closed path of SVG
 */
export function sparklinePath(values, width, height) {
  const most = Math.max(1, ...values);
  const step = width / Math.max(1, values.length);
  const round = (number) => Number(number.toFixed(2));
  const tops = values.map((value, index) => {
    const top = round(height - (value / most) * height);
    return `V${top}H${round((index + 1) * step)}`;
  });
  return `M0 ${height}${tops.join("")}V${height}Z`;
}

/**
 * @param {number[]} values the oldest first
 * @param {{label: string, width?: number, height?: number}} options `label` is what it says, in words
 * @returns {SVGElement}
 */
export function sparkline(values, { label, width = 120, height = 20 }) {
  return svg(
    "svg",
    { class: "flaskserve-sparkline", role: "img", "aria-label": label, viewBox: `0 0 ${width} ${height}`, width, height, preserveAspectRatio: "none" },
    svg("title", null, label),
    svg("line", { x1: 0, x2: width, y1: height - 0.5, y2: height - 0.5 }),
    svg("path", { d: sparklinePath(values, width, height) }),
  );
}
