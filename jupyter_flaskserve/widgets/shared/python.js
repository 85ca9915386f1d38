// Python source, cut into pieces for colouring. It need not understand Python, only never lose a character.

const PYTHON_KEYWORDS = new Set(
  (
    "False None True and as assert async await break case class continue def del elif else except finally for from " +
    "global if import in is lambda match nonlocal not or pass raise return try while with yield"
  ).split(" "),
);

const PYTHON_PIECES = new RegExp(
  [
    /(?<comment>#[^\n]*)/,
    /(?<string>(?<![\p{L}\p{N}_])[rRbBuUfFtT]{0,2}(?:"""(?:[^\\]|\\[^])*?(?:"""|(?![^]))|'''(?:[^\\]|\\[^])*?(?:'''|(?![^]))|"(?:[^"\\\n]|\\[^])*(?:"|(?=\n)|$)|'(?:[^'\\\n]|\\[^])*(?:'|(?=\n)|$)))/,
    /(?<decorator>(?<=^[ \t]*)@[\w.]+)/,
    /(?<number>\b(?:0[xXbBoO][\da-fA-F_]+|\d[\d_]*(?:\.[\d_]*)?(?:[eE][+-]?\d+)?[jJ]?))/,
    /(?<word>[\p{L}_][\p{L}\p{N}_]*)/u,
  ]
    .map((piece) => piece.source)
    .join("|"),
  "gmu",
);

/**
 * @param {string} source
 * @returns {{kind: "" | "comment" | "string" | "decorator" | "number" | "keyword" | "definition", text: string}[]}
 *   pieces that joined give the source again
 */
export function pythonTokens(source) {
  const tokens = [];
  let end = 0;
  let previous = "";
  const add = (kind, text) => {
    const last = tokens[tokens.length - 1];
    if (kind === "" && last?.kind === "") last.text += text;
    else if (text) tokens.push({ kind, text });
  };
  for (const match of source.matchAll(PYTHON_PIECES)) {
    add("", source.slice(end, match.index));
    end = match.index + match[0].length;
    const [kind] = Object.entries(match.groups).find(([, text]) => text !== undefined);
    if (kind !== "word") add(kind, match[0]);
    else if (previous === "def" || previous === "class") add("definition", match[0]);
    else add(PYTHON_KEYWORDS.has(match[0]) ? "keyword" : "", match[0]);
    previous = match[0];
  }
  add("", source.slice(end));
  return tokens;
}
