// A cursor over the rows of a table, moved by the keyboard.

/** @typedef {import("./keys.js").Key} Key */

/**
 * The keys j, k and the arrows move the cursor; Enter calls `open` with the number of the row.
 * @param {readonly Element[]} rows
 * @param {(index: number) => unknown} open
 * @returns {Key[]}
 */
export function rowKeys(rows, open) {
  let at = -1;
  const move = (/** @type {number} */ by) => {
    if (!rows.length) return;
    rows[at]?.classList.remove("current");
    at = Math.max(0, Math.min(rows.length - 1, at + by));
    rows[at].classList.add("current");
    rows[at].scrollIntoView({ block: "nearest" });
  };
  return [
    ["j", "next row", () => move(1)],
    ["k", "previous row", () => move(-1)],
    ["ArrowDown", "", () => move(1)],
    ["ArrowUp", "", () => move(-1)],
    ["Enter", "open the row", () => at >= 0 && open(at)],
    ["o", "", () => at >= 0 && open(at)],
  ];
}
