// Where JSON text goes wrong. Engines word this differently and not all give a position, so the text is read here.

/**
 * @param {string} text
 * @returns {{line: number, column: number, message: string} | null} the first error (counted from 1), null for valid JSON
 */
export function jsonProblem(text) {
  try {
    JSON.parse(text);
    return null;
  } catch {
    // read it again, slowly, for the place
  }
  const reader = new JsonReader(text);
  try {
    reader.document();
  } catch (error) {
    if (!(error instanceof JsonMistake)) throw error;
    const before = text.slice(0, error.at).split("\n");
    return { line: before.length, column: [...before[before.length - 1]].length + 1, message: error.message };
  }
  return { line: 1, column: 1, message: "this is not JSON" };
}

class JsonMistake extends Error {
  constructor(at, message) {
    super(message);
    this.at = at;
  }
}

class JsonReader {
  constructor(text) {
    this.text = text;
    this.at = 0;
    this.depth = 0;
  }

  document() {
    this.value("a value");
    this.space();
    if (this.at < this.text.length) this.fail("nothing may follow the value");
  }

  value(expected) {
    this.space();
    const character = this.text[this.at];
    if (character === "{") this.members();
    else if (character === "[") this.items();
    else if (character === '"') this.string();
    else this.word(expected);
  }

  members() {
    this.enter();
    this.space();
    if (this.text[this.at] === "}") return this.leave();
    for (;;) {
      this.space();
      if (this.text[this.at] === "}") this.fail("a comma may not stand before }");
      if (this.text[this.at] !== '"') this.fail(this.text[this.at] === "'" ? "names stand in double quotes" : "a name in double quotes is missing");
      this.string();
      this.space();
      if (this.text[this.at] !== ":") this.fail("a colon is missing after the name");
      this.at += 1;
      this.value("a value after the colon");
      if (!this.more("}")) return undefined;
    }
  }

  items() {
    this.enter();
    this.space();
    if (this.text[this.at] === "]") return this.leave();
    for (;;) {
      this.space();
      if (this.text[this.at] === "]") this.fail("a comma may not stand before ]");
      this.value("a value");
      if (!this.more("]")) return undefined;
    }
  }

  /** After a member or an item: a comma (true) or the end (false). */
  more(end) {
    this.space();
    const character = this.text[this.at];
    if (character === ",") {
      this.at += 1;
      return true;
    }
    if (character !== end) this.fail(`a comma or ${end} is missing`);
    this.leave();
    return false;
  }

  enter() {
    this.at += 1;
    this.depth += 1;
    if (this.depth > 500) this.fail("nested too deeply to be checked");
  }

  leave() {
    this.at += 1;
    this.depth -= 1;
  }

  string() {
    const start = this.at;
    this.at += 1;
    for (;;) {
      const character = this.text[this.at];
      if (character === undefined) this.fail("a text is not closed", start);
      if (character === '"') {
        this.at += 1;
        return;
      }
      if (character < " ") this.fail("a line break or tab in a text is written \\n or \\t");
      if (character === "\\") this.escape();
      else this.at += 1;
    }
  }

  escape() {
    const rest = /^\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/.exec(this.text.slice(this.at, this.at + 6));
    if (!rest) this.fail("a backslash is written \\\\");
    this.at += rest[0].length;
  }

  word(expected) {
    const rest = this.text.slice(this.at, this.at + 400);
    const known = /^(?:true|false|null)(?![\w.])/.exec(rest) ?? /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])/.exec(rest);
    if (known) {
      this.at += known[0].length;
      return;
    }
    const python = { True: "true", False: "false", None: "null" };
    const word = /^[A-Za-z_]\w*/.exec(rest)?.[0] ?? "";
    if (python[word]) this.fail(`${word} is written ${python[word]} in JSON`);
    if (rest[0] === "'") this.fail("texts stand in double quotes");
    if (/^[-+.\d]/.test(rest)) this.fail("this is not a number in JSON");
    this.fail(word ? `${word.slice(0, 20)} is no value in JSON; texts stand in double quotes` : `${expected} is missing`);
  }

  space() {
    while (" \t\r\n".includes(this.text[this.at] ?? "x")) this.at += 1;
  }

  fail(message, at = this.at) {
    throw new JsonMistake(at, message);
  }
}
