// What LaTeX's command names stand for: symbols, functions, spaces, accents and alphabets.

/**
 * Read `name:character` pairs.
 * @param {"i" | "o"} kind
 * @param {string} text
 * @returns {[string, ["i" | "o", string]][]}
 */
const pairs = (kind, text) =>
  text
    .trim()
    .split(/\s+/)
    .map((item) => {
      const cut = item.indexOf(":");
      return [item.slice(0, cut), [kind, item.slice(cut + 1)]];
    });

/**
 * The character of each name, as an identifier (i) or an operator (o).
 * @type {Record<string, ["i" | "o", string]>}
 */
export const SYMBOLS = Object.assign(
  Object.create(null),
  Object.fromEntries([
    ...pairs(
      "i",
      `alpha:α beta:β gamma:γ delta:δ epsilon:ϵ varepsilon:ε zeta:ζ eta:η theta:θ vartheta:ϑ iota:ι kappa:κ
    lambda:λ mu:μ nu:ν xi:ξ omicron:ο pi:π varpi:ϖ rho:ρ varrho:ϱ sigma:σ varsigma:ς tau:τ upsilon:υ phi:ϕ varphi:φ chi:χ
    psi:ψ omega:ω Gamma:Γ Delta:Δ Theta:Θ Lambda:Λ Xi:Ξ Pi:Π Sigma:Σ Upsilon:Υ Phi:Φ Psi:Ψ Omega:Ω hbar:ℏ ell:ℓ Re:ℜ Im:ℑ
    aleph:ℵ wp:℘ partial:∂ nabla:∇ infty:∞ emptyset:∅ varnothing:∅ degree:° prime:′ imath:ı jmath:ȷ angle:∠ triangle:△
    square:□ Box:□ blacksquare:■ top:⊤ bot:⊥ dots:… ldots:… cdots:⋯ vdots:⋮ ddots:⋱ dotsc:… dotsb:⋯ checkmark:✓ dagger:†
    ddagger:‡ S:§ AA:Å mho:℧ hslash:ℏ complement:∁ spadesuit:♠ heartsuit:♡ clubsuit:♣ diamondsuit:♢ %:% #:# $:$ &:&`,
    ),
    ...pairs(
      "o",
      `times:× div:÷ pm:± mp:∓ cdot:⋅ ast:∗ star:⋆ circ:∘ bullet:• oplus:⊕ ominus:⊖ otimes:⊗ odot:⊙ cap:∩
    cup:∪ setminus:∖ wedge:∧ land:∧ vee:∨ lor:∨ neg:¬ lnot:¬ leq:≤ le:≤ leqslant:⩽ geq:≥ ge:≥ geqslant:⩾ neq:≠ ne:≠ ll:≪
    gg:≫ lt:< gt:> approx:≈ sim:∼ simeq:≃ cong:≅ equiv:≡ propto:∝ asymp:≍ doteq:≐ triangleq:≜ prec:≺ succ:≻ preceq:⪯
    succeq:⪰ subset:⊂ supset:⊃ subseteq:⊆ supseteq:⊇ subsetneq:⊊ in:∈ notin:∉ ni:∋ mid:∣ nmid:∤ parallel:∥ perp:⊥
    forall:∀ exists:∃ nexists:∄ vdash:⊢ models:⊨ therefore:∴ because:∵ to:→ rightarrow:→ longrightarrow:⟶ leftarrow:←
    gets:← longleftarrow:⟵ leftrightarrow:↔ Rightarrow:⇒ Longrightarrow:⟹ implies:⟹ Leftarrow:⇐ impliedby:⟸ Leftrightarrow:⇔ iff:⟺
    mapsto:↦ longmapsto:⟼ uparrow:↑ downarrow:↓ updownarrow:↕ Uparrow:⇑ Downarrow:⇓ nearrow:↗ searrow:↘ hookrightarrow:↪
    rightleftharpoons:⇌ leftrightharpoons:⇋ rightharpoonup:⇀ leadsto:⇝ colon:: langle:⟨ rangle:⟩ lfloor:⌊ rfloor:⌋ lceil:⌈
    rceil:⌉ lvert:| rvert:| vert:| lVert:‖ rVert:‖ Vert:‖ |:‖ {:{ }:} lbrace:{ rbrace:} lbrack:[ rbrack:] backslash:\\ _:_
    triangleleft:◁ triangleright:▷ ltimes:⋉ rtimes:⋊ amalg:⨿ uplus:⊎ sqcup:⊔ sqcap:⊓ diamond:⋄ lesssim:≲ gtrsim:≳`,
    ),
  ]),
);

/** @type {Record<string, string>} */
export const LARGE = Object.assign(Object.create(null), {
  sum: "∑",
  prod: "∏",
  coprod: "∐",
  int: "∫",
  iint: "∬",
  iiint: "∭",
  oint: "∮",
  bigcup: "⋃",
  bigcap: "⋂",
  bigoplus: "⨁",
  bigotimes: "⨂",
  bigwedge: "⋀",
  bigvee: "⋁",
  bigsqcup: "⨆",
});

/**
 * Whether the limits of a function are set below it.
 * @type {Record<string, boolean>}
 */
export const FUNCTIONS = Object.assign(
  Object.create(null),
  Object.fromEntries([
    ..."sin cos tan cot sec csc sinh cosh tanh coth arcsin arccos arctan exp ln log lg arg deg dim hom ker"
      .split(" ")
      .map((n) => [n, false]),
    ..."lim limsup liminf max min sup inf det gcd Pr argmax argmin".split(" ").map((n) => [n, true]),
  ]),
);

/** @type {Record<string, string>} */
export const SPACES = Object.assign(Object.create(null), {
  ",": "0.167em",
  ":": "0.222em",
  ">": "0.222em",
  ";": "0.278em",
  "!": "-0.167em",
  " ": "0.33em",
  "\n": "0.33em",
  quad: "1em",
  qquad: "2em",
  enspace: "0.5em",
  thinspace: "0.167em",
  medspace: "0.222em",
  thickspace: "0.278em",
  "-": "0",
  "/": "0",
});

/** @type {Record<string, [mark: string, side: "above" | "below", stretches: boolean]>} */
export const ACCENTS = Object.assign(Object.create(null), {
  hat: ["^", "above", false],
  widehat: ["^", "above", true],
  bar: ["¯", "above", false],
  vec: ["→", "above", false],
  overrightarrow: ["→", "above", true],
  overleftarrow: ["←", "above", true],
  dot: ["˙", "above", false],
  ddot: ["¨", "above", false],
  tilde: ["~", "above", false],
  widetilde: ["~", "above", true],
  check: ["ˇ", "above", false],
  acute: ["´", "above", false],
  grave: ["`", "above", false],
  breve: ["˘", "above", false],
  mathring: ["˚", "above", false],
  overbrace: ["⏞", "above", true],
  underbrace: ["⏟", "below", true],
});

/** @type {Record<string, string>} */
export const DELIMITERS = Object.assign(Object.create(null), {
  "\\{": "{",
  "\\}": "}",
  "\\|": "‖",
  "\\langle": "⟨",
  "\\rangle": "⟩",
  "\\lfloor": "⌊",
  "\\rfloor": "⌋",
  "\\lceil": "⌈",
  "\\rceil": "⌉",
  "\\vert": "|",
  "\\Vert": "‖",
  "\\lvert": "|",
  "\\rvert": "|",
  "\\lVert": "‖",
  "\\rVert": "‖",
  "\\lbrace": "{",
  "\\rbrace": "}",
  "\\lbrack": "[",
  "\\rbrack": "]",
  "<": "⟨",
  ">": "⟩",
  "\\backslash": "\\",
  "\\uparrow": "↑",
  "\\downarrow": "↓",
});

/** @type {Record<string, string>} */
export const ALPHABETS = Object.assign(Object.create(null), {
  mathrm: "normal",
  rm: "normal",
  mathup: "normal",
  mathnormal: "normal",
  mathit: "normal",
  mathbf: "bold",
  bf: "bold",
  boldsymbol: "bold",
  bm: "bold",
  mathbb: "double",
  mathcal: "script",
  mathscr: "script",
  mathfrak: "fraktur",
  mathsf: "sans",
  mathtt: "mono",
  pmb: "bold",
});

/**
 * The first code point of the letters and the digits of each mathematical alphabet.
 * @type {Record<string, [upper: number, lower: number, digit: number | null]>}
 */
const STARTS = {
  bold: [0x1d400, 0x1d41a, 0x1d7ce],
  double: [0x1d538, 0x1d552, 0x1d7d8],
  script: [0x1d49c, 0x1d4b6, null],
  fraktur: [0x1d504, 0x1d51e, null],
  sans: [0x1d5a0, 0x1d5ba, 0x1d7e2],
  mono: [0x1d670, 0x1d68a, 0x1d7f6],
};
const BOLD_GREEK = { start: 0x1d6c2, capital: 0x1d6a8 };
/**
 * Letters that Unicode had before the mathematical alphabets and left out of them.
 * @type {Record<string, Record<string, string>>}
 */
const HOLES = {
  double: { C: "ℂ", H: "ℍ", N: "ℕ", P: "ℙ", Q: "ℚ", R: "ℝ", Z: "ℤ" },
  script: { B: "ℬ", E: "ℰ", F: "ℱ", H: "ℋ", I: "ℐ", L: "ℒ", M: "ℳ", R: "ℛ", e: "ℯ", g: "ℊ", o: "ℴ" },
  fraktur: { C: "ℭ", H: "ℌ", I: "ℑ", R: "ℜ", Z: "ℨ" },
};

/**
 * Write a text in a mathematical alphabet: R becomes ℝ in "double".
 * @param {string} text
 * @param {string} name
 */
export function alphabet(text, name) {
  const [upper, lower, digit] = STARTS[name];
  return [...text]
    .map((c) => {
      const code = c.codePointAt(0) ?? 0;
      if (HOLES[name]?.[c]) return HOLES[name][c];
      if (c >= "A" && c <= "Z") return String.fromCodePoint(upper + code - 65);
      if (c >= "a" && c <= "z") return String.fromCodePoint(lower + code - 97);
      if (c >= "0" && c <= "9" && digit !== null) return String.fromCodePoint(digit + code - 48);
      if (name === "bold" && c >= "α" && c <= "ω") return String.fromCodePoint(BOLD_GREEK.start + code - 0x3b1);
      if (name === "bold" && c >= "Α" && c <= "Ω") return String.fromCodePoint(BOLD_GREEK.capital + code - 0x391);
      return c;
    })
    .join("");
}
