// \ce{...}: chemical formulas and equations, the part of mhchem's notation that answers use.

const PIECE =
  /->|<-|<=>>?|<<=>|<->|=|\^\{[^{}]*\}|\^[0-9]*[+-]?|_\{[^{}]*\}|_[0-9]+|\([a-z]{1,3}\)|[A-Z][a-z]?|[0-9]+(?:\.[0-9]+)?|\s+|[^]/gu;
const ARROWS = { "->": "⟶", "<-": "⟵", "<=>": "⇌", "<=>>": "⇌", "<<=>": "⇌", "<->": "⟷" };
const STATES = /^\((?:s|l|g|aq)\)$/;

/** A row of nodes for `source`, made with `math(tag, attributes, ...children)`. */
export function chemistry(source, math) {
  const out = [];
  let afterAtom = false;
  const attach = (tag, text) => {
    const base = out.pop() ?? math("mrow");
    const leaf = math("mtext", null, text.replaceAll("-", "−"));
    if (tag === "msup" && base.localName === "msub") return out.push(math("msubsup", null, ...base.children, leaf));
    return out.push(math(tag, null, base, leaf));
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
