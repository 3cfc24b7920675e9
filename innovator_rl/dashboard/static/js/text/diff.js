// The difference between two strings of text, word by word, with Myers' greedy algorithm (An O(ND) difference algorithm, 1986)
// between their common beginning and end. Text that shares too little for that is compared by sentences first.

/** @typedef {-1 | 0 | 1} Side 0: in both, -1: only in the first, 1: only in the second */

/** @typedef {[side: Side, text: string]} Run */

/** @typedef {(text: string) => string[]} Split */

const MOST_EDITS = 2000;
const SHORT = 10;

/** @type {Split} */
const byWords = (text) => text.match(/\s+|[\p{L}\p{N}_]+|[^]/gu) ?? [];
/** @type {Split} */
const bySentences = (text) => text.match(/[^.!?\n]*(?:[.!?]+\s*|\n+|$)/g)?.filter(Boolean) ?? [];

/**
 * The edit script between two lists, or null where it would take more than MOST_EDITS edits.
 * @param {string[]} a
 * @param {string[]} b
 * @returns {Run[] | null}
 */
function myers(a, b) {
  /** @type {Int32Array[]} */
  const trace = [];
  const reach = new Int32Array(2 * MOST_EDITS + 3);
  const zero = MOST_EDITS + 1;
  const last = Math.min(MOST_EDITS, a.length + b.length);
  for (let d = 0; d <= last; d += 1) {
    for (let k = -d; k <= d; k += 2) {
      let x =
        k === -d || (k !== d && reach[zero + k - 1] < reach[zero + k + 1])
          ? reach[zero + k + 1]
          : reach[zero + k - 1] + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x += 1;
      reach[zero + k] = x;
      if (x >= a.length && x - k >= b.length) return walk(a, b, trace, d, k);
    }
    trace.push(reach.slice(zero - d, zero + d + 1));
  }
  return null;
}

/**
 * Walk back from the end through the furthest points of each number of edits.
 * @param {string[]} a
 * @param {string[]} b
 * @param {Int32Array[]} trace
 * @param {number} edits
 * @param {number} diagonal
 */
function walk(a, b, trace, edits, diagonal) {
  /** @type {Run[]} */
  const steps = [];
  let [x, k] = [a.length, diagonal];
  for (let d = edits; d > 0; d -= 1) {
    const before = trace[d - 1];
    const at = (/** @type {number} */ q) => (Math.abs(q) <= d - 1 ? before[q + d - 1] : -1);
    const down = k === -d || (k !== d && at(k - 1) < at(k + 1));
    const from = down ? k + 1 : k - 1;
    const start = at(from);
    const middle = down ? start : start + 1;
    for (; x > middle; x -= 1) steps.push([0, a[x - 1]]);
    steps.push(down ? [1, b[start - from]] : [-1, a[start]]);
    [x, k] = [start, from];
  }
  for (; x > 0; x -= 1) steps.push([0, a[x - 1]]);
  return steps.reverse();
}

/**
 * Join neighboring runs of the same side.
 * @param {Run[]} pieces
 */
function merged(pieces) {
  /** @type {Run[]} */
  const out = [];
  for (const [kind, text] of pieces) {
    const last = out.at(-1);
    if (!text) continue;
    if (last?.[0] === kind) last[1] += text;
    else out.push([kind, text]);
  }
  return out;
}

/**
 * Runs as a person reads them: a word or two between two changes joins the change, and deletions come first.
 * @param {Run[]} steps
 */
function readable(steps) {
  const found = merged(steps);
  /** @type {Run[]} */
  const out = [];
  let [gone, come] = ["", ""];
  found.forEach(([kind, text], i) => {
    const island =
      kind === 0 && (gone || come) && i < found.length - 1 && text.length < SHORT && !text.includes("\n\n");
    if (kind < 0 || island) gone += text;
    if (kind > 0 || island) come += text;
    if (kind !== 0 || island) return;
    out.push([-1, gone], [1, come], [0, text]);
    [gone, come] = ["", ""];
  });
  return merged([...out, [-1, gone], [1, come]]);
}

/**
 * The edit script between `a` and `b`, cut by `split`, or null where it would take more than MOST_EDITS edits.
 * @param {string} a
 * @param {string} b
 * @param {Split} split
 * @returns {Run[] | null}
 */
function script(a, b, split) {
  const [left, right] = [split(a), split(b)];
  let head = 0;
  while (head < left.length && head < right.length && left[head] === right[head]) head += 1;
  let tail = 0;
  while (tail < left.length - head && tail < right.length - head && left.at(-1 - tail) === right.at(-1 - tail))
    tail += 1;
  const middle = myers(left.slice(head, left.length - tail), right.slice(head, right.length - tail));
  return middle && [[0, left.slice(0, head).join("")], ...middle, [0, left.slice(left.length - tail).join("")]];
}

/**
 * Compare sentence by sentence, then word by word inside each change that is small enough.
 * @param {string} a
 * @param {string} b
 * @returns {Run[]}
 */
function coarse(a, b) {
  const blocks = merged(
    script(a, b, bySentences) ?? [
      [-1, a],
      [1, b],
    ],
  );
  return blocks.flatMap(([kind, text], i) => {
    const after = blocks[i + 1];
    if (kind < 0 && after?.[0] > 0) return script(text, after[1], byWords) ?? [[kind, text], after];
    return kind > 0 && blocks[i - 1]?.[0] < 0 ? [] : [[kind, text]];
  });
}

/**
 * Compare two strings of text.
 *
 * `runs` lead from `a` to `b`; `shared` is the share of characters in common (0 to 1); `rough` tells whether they
 * were too different to compare word by word.
 *
 * @param {string} a
 * @param {string} b
 */
export function difference(a, b) {
  const exact = script(a, b, byWords);
  const steps = exact ?? coarse(a, b);
  const same = steps.reduce((sum, [kind, text]) => sum + (kind ? 0 : text.length), 0);
  return { runs: readable(steps), shared: a.length + b.length ? (2 * same) / (a.length + b.length) : 1, rough: !exact };
}
