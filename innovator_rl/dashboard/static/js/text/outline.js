// The outline of a long text: headings, steps, changes of mind, passages that repeat and where the answer stands. It reads
// lines only, so that it costs nothing next to drawing them.

/** @typedef {"heading" | "step" | "turn" | "answer" | "passage"} Kind */

/** @typedef {{ line: number, title: string, kind: Kind }} Entry */

const LEAST_CHARS = 2500;
const MOST_ENTRIES = 80;
const TITLE_CHARS = 72;
/** Changes of mind that follow each other closely are one. */
const TURN_CHARS = 500;
/** A stretch without any entry gets one after so many characters. */
const PASSAGE_CHARS = 3000;
const REPEATED_CHARS = 60;

const HEADING = /^\s{0,3}#{1,6}\s+(.+?)\s*#*\s*$/;
const BOLD = /^\s*(?:\d+[.)]\s*)?\*\*(.{2,100}?)\*\*:?\s*$/;
const STEP =
  /^\s*(?:\*\*)?((?:step|case|part|phase|approach|method|option|claim|attempt)\s+(?:\d+|[a-z]|[ivx]+)\b.*)$/i;
const ANSWER = /(?:\bfinal answer\b|\bthe answer is\b|\\boxed\s*\{)/i;
const TURN =
  /^\s*((?:but )?wait\b|hmm+\b|hold on\b|alternatively\b|actually\b|however\b|let me (?:re|check|verify|double|try|think again)|let's (?:check|verify|try|re)|on second thought|oh\b|no,)/i;

/** @param {string} line */
const titleOf = (line) => {
  const plain = line.replace(/[*_`#]+/g, "").trim();
  return plain.length > TITLE_CHARS ? `${plain.slice(0, TITLE_CHARS - 1)}…` : plain;
};

/** @type {(line: string) => [Kind, string] | null} */
function kindOf(line) {
  if (!line.trim()) return null;
  const heading = HEADING.exec(line.slice(0, 400)) ?? BOLD.exec(line.slice(0, 400));
  if (heading) return ["heading", heading[1]];
  const step = STEP.exec(line.slice(0, 400));
  if (step) return ["step", step[1]];
  if (ANSWER.test(line)) return ["answer", line];
  return TURN.test(line) ? ["turn", line] : null;
}

/**
 * The entries of a text in their order, and the lines that repeat an earlier one.
 * @param {string} text
 * @param {string | null} [answer] the extracted answer, to be marked where it last stands
 * @returns {{ entries: Entry[], repeated: Set<number> }}
 */
export function outline(text, answer = null) {
  const lines = text.split("\n");
  /** @type {Entry[]} */
  const entries = [];
  /** @type {Set<number>} */
  const repeated = new Set();
  const seen = new Set();
  const stands = answerLine(lines, answer);
  let [since, sinceTurn] = [0, TURN_CHARS];
  let fenced = false;
  lines.forEach((line, at) => {
    since += line.length + 1;
    sinceTurn += line.length + 1;
    const plain = line.trim();
    if (/^(```|~~~)/.test(plain)) fenced = !fenced;
    if (plain.length >= REPEATED_CHARS) {
      if (seen.has(plain)) repeated.add(at);
      seen.add(plain);
    }
    const found = at === stands ? /** @type {[Kind, string]} */ (["answer", line]) : fenced ? null : kindOf(line);
    const close = found?.[0] === "turn" && sinceTurn < TURN_CHARS;
    if (found && !close) entries.push({ line: at, kind: found[0], title: titleOf(found[1]) });
    else if (!found && !fenced && plain && since > PASSAGE_CHARS)
      entries.push({ line: at, kind: "passage", title: titleOf(plain) });
    else return;
    since = 0;
    if (found?.[0] === "turn") sinceTurn = 0;
  });
  return {
    entries: text.length < LEAST_CHARS ? entries.filter(({ line }) => line === stands) : fewer(entries),
    repeated,
  };
}

/**
 * The line on which the extracted answer last stands, or -1.
 * @param {string[]} lines
 * @param {string | null} answer
 */
function answerLine(lines, answer) {
  const wanted = answer?.trim().split("\n")[0];
  if (!wanted) return -1;
  const boxed = lines.findLastIndex((line) => ANSWER.test(line) && line.includes(wanted));
  return boxed >= 0 ? boxed : lines.findLastIndex((line) => line.includes(wanted));
}

/**
 * Leave out changes of mind, then passages, then every other one, until few enough are left.
 * @param {Entry[]} entries
 */
function fewer(entries) {
  let kept = entries;
  for (const kind of ["turn", "passage", "step"])
    if (kept.length > MOST_ENTRIES) kept = kept.filter((one, i) => one.kind !== kind || i % 4 === 0);
  while (kept.length > MOST_ENTRIES) kept = kept.filter((one, i) => one.kind === "answer" || i % 2 === 0);
  return kept.slice(-MOST_ENTRIES);
}
