// Names of query parameters and values that addresses used before, so that bookmarks and links keep working.

/** @type {Record<string, string>} */
const NAMES = {
  fate: "status",
};

/**
 * A parameter that had another name or meaning with one of its values.
 * @type {[name: string, value: string, newName: string, newValue: string][]}
 */
const VALUES = [
  ["status", "ok", "generation_status", "ok"],
  ["drop_reason", "unjudged", "drop_reason", "unscored"],
  ["sort", "sample", "sort", "sample_index"],
  ["sort", "-sample", "sort", "-sample_index"],
];

/**
 * Replace the former names and values of a query by those of today.
 * @param {URLSearchParams} query
 */
export function withCurrentNames(query) {
  return new URLSearchParams(
    [...query].map(([name, value]) => {
      const found = VALUES.find(([old, oldValue]) => old === name && oldValue === value);
      return found ? [found[2], found[3]] : [Object.hasOwn(NAMES, name) ? NAMES[name] : name, value];
    }),
  );
}
