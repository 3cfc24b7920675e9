// Numbers, times and durations as people read them. A missing value is an en dash, never "null" or "NaN".

export const NONE = "–";
const absent = (x) => x === null || x === undefined || (typeof x === "number" && !Number.isFinite(x));

/** Three significant figures, thousands grouped: 0.0312, 12.4, 8,192. */
export function num(x, digits = 3) {
  if (absent(x)) return NONE;
  const value = Number(x);
  const size = Math.abs(value);
  const text =
    Number.isInteger(value) || size >= 1000
      ? Math.round(size).toLocaleString("en")
      : size < 1e-3
        ? size.toExponential(1)
        : String(Number(size.toPrecision(digits)));
  return value < 0 ? `−${text}` : text;
}

export function signed(x, digits = 3) {
  return absent(x) ? NONE : (x > 0 ? "+" : x < 0 ? "−" : "") + num(Math.abs(x), digits);
}

export function percent(x) {
  if (absent(x)) return NONE;
  const value = 100 * x;
  return `${value !== 0 && value !== 100 && (Math.abs(value) < 1 || Math.abs(value) > 99) ? value.toFixed(1) : value.toFixed(0)} %`;
}

/** 1234 -> 1.23k, 8.1M. */
export function compact(x) {
  if (absent(x)) return NONE;
  if (Math.abs(x) < 1000) return num(x);
  const [unit, by] = Math.abs(x) < 1e6 ? ["k", 1e3] : Math.abs(x) < 1e9 ? ["M", 1e6] : ["G", 1e9];
  return `${Number((x / by).toPrecision(3))}${unit}`;
}

/** Seconds as 0.3 s, 42 s, 3 min 5 s, 2 h 10 min, 3 d 4 h. */
export function duration(seconds) {
  if (absent(seconds)) return NONE;
  const t = Math.abs(seconds);
  if (t < 0.001) return t === 0 ? "0 s" : "< 1 ms";
  if (t < 1) return `${num(t * 1000, 2)} ms`;
  if (t < 10) return `${num(t, 2)} s`;
  if (t < 60) return `${Math.round(t)} s`;
  const units = [
    ["d", 86400],
    ["h", 3600],
    ["min", 60],
    ["s", 1],
  ];
  const first = units.findIndex(([, size]) => t >= size);
  const [name, size] = units[first];
  const rest = units[first + 1] && Math.floor((t % size) / units[first + 1][1]);
  return `${Math.floor(t / size)} ${name}${rest ? ` ${rest} ${units[first + 1][0]}` : ""}`;
}

const asDate = (t) =>
  typeof t === "number" ? new Date(t * 1000) : new Date(/[zZ]|[+-]\d\d:?\d\d$/.test(t) ? t : `${t}Z`);

/** Seconds since `t`, a UTC time as text or seconds since 1970. */
export function age(t) {
  const since = absent(t) || t === "" ? NaN : (Date.now() - asDate(t).getTime()) / 1000;
  return Number.isFinite(since) ? since : null;
}

export function when(t) {
  if (age(t) === null) return NONE;
  return asDate(t).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}

export function bytes(n) {
  if (absent(n)) return NONE;
  const units = ["B", "kB", "MB", "GB"];
  const at = Math.min(3, n > 0 ? Math.floor(Math.log10(n) / 3) : 0);
  return `${num(n / 1000 ** at)} ${units[at]}`;
}

export function plural(n, one, many = `${one}s`) {
  return `${num(n)} ${n === 1 ? one : many}`;
}

/** A code such as `all_wrong` in words. */
export function words(code) {
  return code === null || code === undefined || code === "" ? NONE : String(code).replaceAll("_", " ");
}
