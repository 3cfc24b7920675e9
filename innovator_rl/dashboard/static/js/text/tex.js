// LaTeX formulas as MathML, which browsers draw themselves and screen readers read. This is the subset that science models
// write. An unknown command is shown by its name, and a formula that cannot be parsed stays as its source. Length, nesting
// and the number of nodes are bounded.

import { chemistry } from "./tex-chemistry.js";
import { ACCENTS, alphabet, ALPHABETS, DELIMITERS, FUNCTIONS, LARGE, SPACES, SYMBOLS } from "./tex-symbols.js";

const MATHML = "http://www.w3.org/1998/Math/MathML";
const LONGEST = 20000;
const DEEPEST = 60;
const MOST_NODES = 8000;
const TOKEN = /\\(?:[a-zA-Z]+\*?|[^])|\s+|\d+(?:\.\d+)?|[^]/gu;
/** @type {Record<string, string>} the delimiters around each kind of matrix */
const MATRICES = {
  matrix: "",
  pmatrix: "()",
  bmatrix: "[]",
  Bmatrix: "{}",
  vmatrix: "||",
  Vmatrix: "‖‖",
  smallmatrix: "",
  array: "",
};
const ALIGNED = new Set([
  "aligned",
  "align",
  "align*",
  "split",
  "eqnarray",
  "eqnarray*",
  "alignat",
  "alignat*",
  "alignedat",
]);
const STACKED = new Set(["gather", "gather*", "gathered", "equation", "equation*", "multline", "multline*"]);
const TEXTS = new Set(["text", "textrm", "textit", "textbf", "textsf", "texttt", "mbox", "hbox", "textnormal"]);
const IGNORED = new Set([
  "displaystyle",
  "textstyle",
  "scriptstyle",
  "scriptscriptstyle",
  "limits",
  "nolimits",
  "nonumber",
  "notag",
  "hline",
  "protect",
  "allowbreak",
  "nobreak",
  "noindent",
  "centering",
]);
const TIGHT = { stretchy: "false", lspace: "0", rspace: "0" };
const FENCES = "⟨⟩⌊⌋⌈⌉|‖{}[]";
const SIZES = /^(?:big|Big|bigg|Bigg)[lrm]?$/;

class Unparsable extends Error {}

/** @typedef {Record<string, string | null>} Attributes */

/** @typedef {(tag: string, attributes?: Attributes | null, ...children: (Node | string)[]) => MathMLElement} Build */

/** @type {Build} */
const math = (tag, attributes, ...children) => {
  const node = document.createElementNS(MATHML, tag);
  for (const [key, value] of Object.entries(attributes ?? {})) if (value !== null) node.setAttribute(key, value);
  node.append(...children);
  return node;
};
/** @param {MathMLElement[]} nodes */
const row = (nodes) => (nodes.length === 1 ? nodes[0] : math("mrow", null, ...nodes));
/** @type {(text: string, attributes?: Attributes) => MathMLElement} */
const operator = (text, attributes) => math("mo", attributes, text);
/** @type {(text: string, form: string) => MathMLElement} */
const fence = (text, form) => operator(text, { form, stretchy: "true", fence: "true" });
/** @param {MathMLElement} node */
const isLarge = (node) => node.localName === "mo" && node.dataset.limits === "1";

class Parser {
  /** @param {string} source */
  constructor(source) {
    /** @type {string[]} */
    this.tokens = source.match(TOKEN) ?? [];
    this.at = 0;
    this.depth = 0;
    this.nodes = 0;
  }

  /** @returns {string | undefined} */
  peek() {
    while (this.at < this.tokens.length && /^\s/.test(this.tokens[this.at])) this.at += 1;
    return this.tokens[this.at];
  }

  next() {
    const token = this.peek();
    this.at += 1;
    return token;
  }

  /**
   * The nodes up to one of `stops`, which is left unread, or to the end.
   * @param {string[]} stops
   * @returns {MathMLElement[]}
   */
  list(stops = []) {
    if ((this.depth += 1) > DEEPEST) throw new Unparsable("nested too deeply");
    const out = [];
    for (let token = this.peek(); token !== undefined && !stops.includes(token); token = this.peek()) {
      if (token === "}") throw new Unparsable("unmatched }");
      if (token === "\\over" || token === "\\choose") {
        this.next();
        const top = row(out.splice(0));
        const bottom = row(this.list(stops));
        out.push(math("mfrac", token === "\\choose" ? { linethickness: "0" } : null, top, bottom));
        break;
      }
      const base = this.scripted();
      if (base) out.push(base);
      if ((this.nodes += 1) > MOST_NODES) throw new Unparsable("too long");
    }
    this.depth -= 1;
    return out;
  }

  /**
   * One atom with its sub- and superscripts and primes.
   * @returns {MathMLElement}
   */
  scripted() {
    const first = this.peek() ?? "";
    const base = (["^", "_", "'"].includes(first) ? null : this.atom()) ?? math("mrow");
    /** @type {MathMLElement | null} */
    let below = null;
    /** @type {MathMLElement | null} */
    let above = null;
    let primes = "";
    for (let token = this.peek(); ; token = this.peek()) {
      if (token === "\\limits" || token === "\\nolimits") this.next();
      else if (token === "'") {
        this.next();
        primes += "′";
      } else if (token === "^" && above === null) {
        this.next();
        above = this.argument();
      } else if (token === "_" && below === null) {
        this.next();
        below = this.argument();
      } else break;
    }
    if (primes) above = row([operator(primes), ...(above ? [above] : [])]);
    const limits = isLarge(base) || base.dataset.stack === "1";
    if (above && below) return math(limits ? "munderover" : "msubsup", null, base, below, above);
    if (above) return math(limits ? "mover" : "msup", null, base, above);
    return below ? math(limits ? "munder" : "msub", null, base, below) : base;
  }

  /**
   * A braced group or one token.
   * @returns {MathMLElement}
   */
  argument() {
    const token = this.peek();
    if (token === undefined) throw new Unparsable("an argument is missing");
    if (token !== "{") {
      // \frac12: a digit at a time
      if (/^\d\d/.test(token)) {
        this.tokens[this.at] = token.slice(1);
        return math("mn", null, token[0]);
      }
      return this.atom() ?? math("mrow");
    }
    this.next();
    const inner = this.list(["}"]);
    if (this.next() !== "}") throw new Unparsable("} is missing");
    return row(inner);
  }

  /** The source inside braces, for text and names. */
  verbatim() {
    if (this.peek() !== "{") return (this.next() ?? "").replace(/^\\/, "");
    this.next();
    let out = "";
    for (let open = 1; ; ) {
      const token = this.tokens[this.at++];
      if (token === undefined) throw new Unparsable("} is missing");
      if (token === "{") open += 1;
      if (token === "}" && (open -= 1) === 0) return out;
      out += token;
    }
  }

  /**
   * An argument in brackets, or null where there is none.
   * @returns {MathMLElement | null}
   */
  optional() {
    if (this.peek() !== "[") return null;
    this.next();
    const inner = this.list(["]"]);
    this.next();
    return row(inner);
  }

  /** @returns {MathMLElement | null} */
  atom() {
    const token = this.next() ?? "";
    if (token === "{") {
      this.at -= 1;
      return this.argument();
    }
    if (token[0] === "\\" && token.length > 1) return this.command(token.slice(1));
    if (/^\d/.test(token)) return math("mn", null, token);
    if (/^\p{L}/u.test(token)) return math("mi", null, token);
    if (token === "~") return math("mspace", { width: "0.33em" });
    if (token === "-") return operator("−");
    if (token === "*") return operator("∗");
    if (token === "&" || token === "$" || token === "#") return null;
    if (token === "/") return operator("/", { lspace: "0", rspace: "0" });
    if ("()[]|".includes(token)) return operator(token, TIGHT);
    return operator(token);
  }

  /**
   * @param {string} name
   * @returns {MathMLElement | null}
   */
  command(name) {
    if (name in SYMBOLS) {
      const [kind, text] = SYMBOLS[name];
      return kind === "i"
        ? math("mi", null, text)
        : operator(text, FENCES.includes(text) ? TIGHT : { stretchy: "false" });
    }
    if (name in LARGE) {
      const node = operator(LARGE[name], { largeop: "true", movablelimits: name.includes("int") ? null : "true" });
      if (!name.includes("int")) node.dataset.limits = "1";
      return node;
    }
    if (name in FUNCTIONS) {
      const text = name === "limsup" ? "lim sup" : name === "liminf" ? "lim inf" : name;
      return operator(text, { lspace: "0.167em", rspace: "0.167em", "data-stack": FUNCTIONS[name] ? "1" : null });
    }
    if (name in SPACES) return math("mspace", { width: SPACES[name] });
    if (name in ACCENTS) return this.accent(name);
    if (name in ALPHABETS) return this.styled(ALPHABETS[name]);
    if (TEXTS.has(name)) return math("mtext", null, this.verbatim().replaceAll("~", " ").replace(/^ | $/g, "\u00a0"));
    if (IGNORED.has(name)) return null;
    if (SIZES.test(name)) return this.delimiter(null);
    return this.structure(name);
  }

  /**
   * @param {string} name
   * @returns {MathMLElement | null}
   */
  structure(name) {
    switch (name) {
      case "frac":
      case "dfrac":
      case "tfrac":
      case "cfrac":
        return math("mfrac", null, this.argument(), this.argument());
      case "binom":
      case "dbinom":
      case "tbinom":
        return row([
          fence("(", "prefix"),
          math("mfrac", { linethickness: "0" }, this.argument(), this.argument()),
          fence(")", "postfix"),
        ]);
      case "sqrt": {
        const degree = this.optional();
        const inner = this.argument();
        return degree ? math("mroot", null, inner, degree) : math("msqrt", null, inner);
      }
      case "left":
        return this.fenced();
      case "begin":
        return this.environment();
      case "boxed":
      case "fbox":
        return math("mrow", { class: "boxed" }, this.argument());
      case "overline":
      case "underline":
        return math("mrow", { class: name }, this.argument());
      case "overset":
      case "stackrel": {
        const above = this.argument();
        return math("mover", null, this.argument(), above);
      }
      case "underset": {
        const below = this.argument();
        return math("munder", null, this.argument(), below);
      }
      case "xrightarrow":
      case "xleftarrow": {
        const below = this.optional();
        const above = this.argument();
        const arrow = operator(name === "xrightarrow" ? "→" : "←", { stretchy: "true" });
        return below ? math("munderover", null, arrow, below, above) : math("mover", null, arrow, above);
      }
      case "operatorname":
      case "operatorname*":
        return math("mi", { mathvariant: "normal" }, this.verbatim());
      case "not":
        return row([
          operator(
            `${
              this.next()
                ?.replace(/^\\in$/, "∈")
                .replace(/^\\/, "") ?? ""
            }\u0338`,
          ),
        ]);
      case "pmod":
        return row([operator("("), math("mtext", null, "mod "), this.argument(), operator(")")]);
      case "bmod":
      case "mod":
        return math("mtext", null, " mod ");
      case "ce":
      case "pu":
        return chemistry(this.verbatim(), math);
      case "color":
      case "textcolor":
      case "hspace":
      case "vspace":
      case "label":
      case "hspace*":
      case "phantom":
        this.verbatim();
        return null;
      case "tag":
        return math("mtext", null, `  (${this.verbatim()})`);
      case "substack": {
        this.next();
        return this.table(["}"], null);
      }
      case "middle":
        return this.delimiter("infix");
      case "right":
      case "end":
        throw new Unparsable(`\\${name} without its beginning`);
      case "\\":
      case "newline":
        return math("mspace", { linebreak: "newline" });
      default:
        return math("mtext", { class: "tex-unknown" }, `\\${name}`);
    }
  }

  /** @param {string} name */
  accent(name) {
    const [text, side, stretchy] = ACCENTS[name];
    const mark = operator(text, { stretchy: stretchy ? "true" : "false", accent: "true" });
    const node = math(
      side === "below" ? "munder" : "mover",
      side === "below" ? null : { accent: "true" },
      this.argument(),
      mark,
    );
    if (name.endsWith("brace")) node.dataset.stack = "1";
    return node;
  }

  /**
   * Replace every letter of the argument by that of another alphabet, as \\mathbf does.
   * @param {string} name
   */
  styled(name) {
    const inner = this.argument();
    const leaves = inner.childElementCount ? [...inner.querySelectorAll("mi, mn")] : [inner];
    for (const leaf of leaves) {
      if (name === "normal") leaf.setAttribute("mathvariant", "normal");
      else leaf.textContent = alphabet(leaf.textContent ?? "", name);
    }
    return inner;
  }

  /** @param {string | null} form */
  delimiter(form) {
    const token = this.next();
    if (token === undefined) throw new Unparsable("a delimiter is missing");
    const text = token === "." ? "" : (DELIMITERS[token] ?? token);
    return form ? fence(text, form) : operator(text);
  }

  /** @returns {MathMLElement} */
  fenced() {
    const open = this.delimiter("prefix");
    const inner = this.list(["\\right"]);
    if (this.next() !== "\\right") throw new Unparsable("\\right is missing");
    return math("mrow", null, open, ...inner, this.delimiter("postfix"));
  }

  /** @returns {MathMLElement} */
  environment() {
    const name = this.verbatim();
    if (name === "array" || name.startsWith("alignat") || name === "alignedat") this.verbatim();
    const end = "\\end";
    if (STACKED.has(name)) return this.table([end], null);
    if (ALIGNED.has(name)) return this.table([end], "aligned");
    if (name === "cases" || name === "dcases" || name === "rcases")
      return math("mrow", null, fence("{", "prefix"), this.table([end], "cases"));
    if (!Object.hasOwn(MATRICES, name)) throw new Unparsable(`unknown environment ${name}`);
    const table = this.table([end], null);
    const [open, close] = [...MATRICES[name]];
    return open ? math("mrow", null, fence(open, "prefix"), table, fence(close, "postfix")) : table;
  }

  /**
   * @param {string[]} ends
   * @param {string | null} kind
   * @returns {MathMLElement}
   */
  table(ends, kind) {
    /** @type {MathMLElement[][]} */
    const rows = [[]];
    for (;;) {
      rows[rows.length - 1].push(math("mtd", null, ...this.list(["&", "\\\\", ...ends])));
      const token = this.next();
      if (token === "\\\\") {
        this.optional();
        rows.push([]);
      } else if (token !== "&") {
        if (token === undefined) throw new Unparsable("the end of a table is missing");
        if (token === "\\end") this.verbatim();
        break;
      }
    }
    const last = rows[rows.length - 1];
    if (last.length === 1 && !last[0].childNodes.length) rows.pop();
    return math(
      "mtable",
      { class: kind, displaystyle: kind === "aligned" ? "true" : null },
      ...rows.map((cells) => math("mtr", null, ...cells)),
    );
  }
}

/**
 * The MathML of a LaTeX formula, or its source in a `code` element where it cannot be drawn.
 * @param {string} source
 * @param {boolean} [display]
 * @returns {Element}
 */
export function formula(source, display = false) {
  const raw = (/** @type {string} */ why) => {
    const code = document.createElement("code");
    code.className = "tex-raw";
    code.title = `shown as written: ${why}`;
    code.textContent = source;
    return code;
  };
  if (source.length > LONGEST) return raw("longer than 20,000 characters");
  try {
    const parser = new Parser(source);
    let body = parser.list();
    // a formula with line breaks outside any environment: its lines, one below the other
    if (/\\\\|\\newline/.test(source) && !/\\begin|\\substack/.test(source))
      body = [new Parser(`${source}\\end{}`).table(["\\end"], null)];
    const node = math("math", { display: display ? "block" : "inline" }, row(body));
    node.setAttribute("aria-label", source.slice(0, 300));
    return node;
  } catch (problem) {
    if (problem instanceof Unparsable) return raw(problem.message);
    throw problem;
  }
}
