// What a view gets and what it gives back, as types for the checker. The file holds no code.

/**
 * What the address says, for the view that it names.
 * @typedef {object} Context
 * @property {string} run the name of the run; empty in a view of all runs
 * @property {string[]} parts the parts of the path after the name of the view
 * @property {URLSearchParams} query
 * @property {AbortSignal} signal aborted when the view is left
 */

/**
 * A view that can be drawn.
 * @typedef {object} View
 * @property {string} title the title of the window
 * @property {import("../core/dom.js").Child} nodes
 * @property {import("../components/keys.js").Key[]} [keys]
 * @property {() => unknown} [shown] called once the nodes are in the page
 * @property {(what: Set<string>) => unknown} [news] called when the server announces new data
 */

/** @typedef {(context: Context) => View | Promise<View>} ViewBuilder */

export {};
