// Chemical formulas and equations inside \ce{...}: the part of mhchem's notation that answers use.

/** @typedef {import("./tex.js").Build} Build */

const PIECE =
  /->|<-|<=>>?|<<=>|<->|=|\^\{[^{}]*\}|\^[0-9]*[+-]?|_\{[^{}]*\}|_[0-9]+|\([a-z]{1,3}\)|[A-Z][a-z]?|[0-9]+(?:\.[0-9]+)?|\s+|[^]/gu;
/** @type {Record<string, string>} */
const ARROWS = { "->": "⟶", "<-": "⟵", "<=>": "⇌", "<=>>": "⇌", "<<=>": "⇌", "<->": "⟷" };
const STATES = /^\((?:s|l|g|aq)\)$/;

/**
 * The formula as one row.
 * @param {string} source
 * @param {Build} math makes an element of MathML
 */
export function chemistry(source, math) {
  /** @type {MathMLElement[]} */
  const out = [];
  let afterAtom = false;
  const attach = (/** @type {"msub" | "msup"} */ tag, /** @type {string} */ text) => {
    const base = out.pop() ?? math("mrow");
    const leaf = math("mtext", null, text.replaceAll("-", "−"));
    if (tag === "msup" && base.localName === "msub") out.push(math("msubsup", null, ...base.children, leaf));
    else out.push(math(tag, null, base, leaf));
  };
  for (const piece of source.match(PIECE) ?? []) {
    if (piece in ARROWS) out.push(math("mo", { lspace: "0.4em", rspace: "0.4em" }, ARROWS[piece]));
    else if (piece[0] === "^" && piece.length > 1) attach("msup", piece.replace(/^\^\{?|\}$/g, ""));
    else if (piece[0] === "_") attach("msub", piece.replace(/^_\{?|\}$/g, ""));
    else if (/^\d/.test(piece))
      afterAtom ? attach("msub", piece) : out.push(math("mn", null, piece), math("mspace", { width: "0.1em" }));
    else if (/^[+-]$/.test(piece) && afterAtom) attach("msup", piece);
    else if (piece === "v" || piece === "^") out.push(math("mo", null, piece === "v" ? "↓" : "↑"));
    else if (piece.trim() === "") out.push(math("mspace", { width: "0.25em" }));
    else if (STATES.test(piece)) out.push(math("mtext", { class: "small" }, piece));
    else out.push(math("mtext", null, piece === "*" || piece === "." ? "⋅" : piece));
    afterAtom = /^(?:[A-Z][a-z]?|[)\]]|\d.*|_.*|\^.*)$/.test(piece) && (afterAtom || !/^\d/.test(piece));
  }
  return math("mrow", null, ...out);
}
