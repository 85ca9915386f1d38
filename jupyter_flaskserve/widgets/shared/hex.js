// Bytes as a hex dump.

/** Bytes in a line of a dump. */
export const HEX_WIDTH = 16;

/**
 * Bytes as lines of offset, hexadecimal numbers and ASCII.
 *
 * @param {Uint8Array} bytes
 * @param {number} [start] the offset of the first one
 * @returns {{offset: string, hex: string, ascii: string}[]}
 */
export function hexLines(bytes, start = 0) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += HEX_WIDTH) {
    const piece = [...bytes.subarray(at, at + HEX_WIDTH)];
    const pairs = piece.map((byte) => byte.toString(16).padStart(2, "0"));
    lines.push({
      offset: (start + at).toString(16).padStart(8, "0"),
      hex: `${pairs.slice(0, 8).join(" ")}  ${pairs.slice(8).join(" ")}`.padEnd(HEX_WIDTH * 3),
      ascii: piece.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join(""),
    });
  }
  return lines;
}
