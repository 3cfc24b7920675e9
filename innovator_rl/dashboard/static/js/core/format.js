// Numbers, times and durations as people read them. A missing value is an en dash, never "null" or "NaN".

/** @typedef {number | null | undefined} MaybeNumber */

/** @typedef {string | number | null | undefined} Time a UTC time as ISO text, or seconds since 1970 */

export const NONE = "–";

/**
 * Whether a value is missing or not finite.
 * @param {unknown} x
 * @returns {x is null | undefined}
 */
const absent = (x) => x === null || x === undefined || (typeof x === "number" && !Number.isFinite(x));

/**
 * Three significant figures, thousands grouped: 0.0312, 12.4, 8,192, 3.4e+38.
 * @param {MaybeNumber} x
 * @param {number} [digits]
 */
export function num(x, digits = 3) {
  if (absent(x)) return NONE;
  const value = Number(x);
  const size = Math.abs(value);
  const text =
    size >= 1e15
      ? size.toExponential(1)
      : Number.isInteger(value) || size >= 1000
        ? Math.round(size).toLocaleString("en")
        : size < 1e-3
          ? size.toExponential(1)
          : String(Number(size.toPrecision(digits)));
  return value < 0 ? `−${text}` : text;
}

/**
 * A number with its sign.
 * @param {MaybeNumber} x
 * @param {number} [digits]
 */
export function signed(x, digits = 3) {
  return absent(x) ? NONE : (x > 0 ? "+" : x < 0 ? "−" : "") + num(Math.abs(x), digits);
}

/**
 * A number with a given number of decimals, so that figures in one column compare.
 * @param {MaybeNumber} x
 * @param {number} decimals
 * @param {boolean} [sign] whether a number above 0 has a sign
 */
export function fixed(x, decimals, sign = false) {
  if (absent(x)) return NONE;
  const text = Math.abs(x).toFixed(decimals);
  if (!Number(text)) return text;
  return (x < 0 ? "−" : sign ? "+" : "") + text;
}

/**
 * A share as a percentage.
 * @param {MaybeNumber} x
 */
export function percent(x) {
  if (absent(x)) return NONE;
  const value = 100 * x;
  const near = value !== 0 && value !== 100 && (Math.abs(value) < 1 || Math.abs(value) > 99);
  return `${value.toFixed(near ? 1 : 0)} %`;
}

/**
 * A large number in short: 1234 is 1.23k, 8,100,000 is 8.1M.
 * @param {MaybeNumber} x
 */
export function compact(x) {
  if (absent(x)) return NONE;
  const size = Math.abs(x);
  if (size < 1000) return num(x);
  if (size < 1e6) return `${Number((x / 1e3).toPrecision(3))}k`;
  if (size < 1e9) return `${Number((x / 1e6).toPrecision(3))}M`;
  return `${Number((x / 1e9).toPrecision(3))}G`;
}

/** @type {[string, number][]} */
const UNITS = [
  ["d", 86400],
  ["h", 3600],
  ["min", 60],
  ["s", 1],
];

/**
 * Seconds as 0.3 s, 42 s, 3 min 5 s, 2 h 10 min, 3 d 4 h.
 * @param {MaybeNumber} seconds
 * @returns {string}
 */
export function duration(seconds) {
  if (absent(seconds)) return NONE;
  if (seconds < 0) return `−${duration(-seconds)}`;
  const t = seconds;
  if (t < 0.001) return t === 0 ? "0 s" : "< 1 ms";
  if (t < 1) return `${num(t * 1000, 2)} ms`;
  if (t < 10) return `${num(t, 2)} s`;
  if (t < 60) return `${Math.round(t)} s`;
  const first = UNITS.findIndex(([, size]) => t >= size);
  const [[name, size], [smaller, part]] = [UNITS[first], UNITS[first + 1]];
  const rest = Math.floor((t % size) / part);
  return `${Math.floor(t / size)} ${name}${rest ? ` ${rest} ${smaller}` : ""}`;
}

/**
 * How long ago something was; a time to come says that a clock is ahead.
 * @param {MaybeNumber} seconds
 */
export const ago = (seconds) =>
  absent(seconds)
    ? NONE
    : seconds < -1
      ? `clock ahead by ${duration(-seconds)}`
      : `${duration(Math.max(0, seconds))} ago`;

/** @param {string | number} t */
const asDate = (t) =>
  typeof t === "number" ? new Date(t * 1000) : new Date(/[zZ]|[+-]\d\d:?\d\d$/.test(t) ? t : `${t}Z`);

/**
 * Seconds since a time, or null where the time cannot be read.
 * @param {Time} t
 */
export function age(t) {
  const since = absent(t) || t === "" ? NaN : (Date.now() - asDate(t).getTime()) / 1000;
  return Number.isFinite(since) ? since : null;
}

/**
 * A time in the reader's time zone.
 * @param {Time} t
 */
export function when(t) {
  if (absent(t) || age(t) === null) return NONE;
  return asDate(t).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}

/**
 * A number and its noun, as in "3 groups".
 * @param {MaybeNumber} n
 * @param {string} one
 * @param {string} [many]
 */
export function plural(n, one, many = `${one}s`) {
  return `${num(n)} ${n === 1 ? one : many}`;
}

/**
 * A code such as `all_wrong` in words.
 * @param {unknown} code
 */
export function humanize(code) {
  return code === null || code === undefined || code === "" ? NONE : String(code).replaceAll("_", " ");
}

/** What chat templates end a turn with; it closes almost every response and tells a reader nothing. */
const TURN_ENDS = ["<|im_end|>", "<|endoftext|>", "<end_of_turn>", "<|eot_id|>", "<|eom_id|>", "</s>"];

/**
 * A text without the markers that end its last turn.
 * @param {string} text
 */
export function withoutEnd(text) {
  let rest = text.trimEnd();
  for (let end; (end = TURN_ENDS.find((one) => rest.endsWith(one))); ) rest = rest.slice(0, -end.length).trimEnd();
  return rest;
}
