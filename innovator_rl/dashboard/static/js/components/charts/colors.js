// The color of each domain in a chart.

const GRAY = 8;

/**
 * Give every name the same color wherever it is drawn: by its place in the sorted list. "all" is gray.
 * @param {string[]} names
 * @returns {(name: string) => number}
 */
export function colors(names) {
  const sorted = names.filter((name) => name !== "all").sort();
  return (name) => (name === "all" ? GRAY : sorted.indexOf(name) % GRAY);
}
