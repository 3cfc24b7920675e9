// Molecules drawn by the server: the predicted one above the reference, the common part highlighted, and their similarity.
// The drawing is an <img>, in which an SVG cannot run anything.

import { here } from "../../api/address.js";
import * as api from "../../api/client.js";
import { failed, fill } from "../../components/states.js";
import { h, replace, visible } from "../../core/dom.js";
import { num } from "../../core/format.js";

/** @typedef {import("../../api/types.js").MoleculePair} MoleculePair */
/** @typedef {import("../../api/types.js").Molecule} Molecule */

const PAIR = [320, 440]; // one above the other, next to the text
const ALONE = [320, 230];

/** @type {Record<string, string>} */
const NAMES = { morgan: "Morgan", rdkit: "RDKit", maccs: "MACCS", common_atoms: "Common atoms" };

/**
 * @param {MoleculePair} molecules
 * @param {AbortSignal} signal
 */
export function moleculePanel(molecules, signal) {
  const picture = h("div", { class: "molecule-picture" });
  const numbers = h("div");
  const draw = () => replace(picture, drawing(molecules));
  addEventListener("themechange", draw, { signal });
  draw();
  fill(numbers, () => api.moleculeFigures(molecules.figures, signal), similarity);
  return h(
    "section",
    { class: "panel molecules" },
    h(
      "header",
      null,
      h("h2", null, "Molecules"),
      h("span", { class: "dim" }, molecules.gold && molecules.predicted ? "the common part is marked" : ""),
    ),
    h("div", { class: "body stack" }, picture, numbers),
  );
}

/** @param {MoleculePair} molecules */
function drawing(molecules) {
  const url = here(molecules.svg);
  url.searchParams.set("theme", document.documentElement.dataset.theme ?? "light");
  const both = Boolean(molecules.gold && molecules.predicted);
  const [width, height] = both ? PAIR : ALONE;
  url.searchParams.set("width", String(width));
  url.searchParams.set("height", String(height));
  const image = h("img", {
    src: url.pathname + url.search,
    alt: both ? "the predicted molecule above the reference molecule" : "the molecule",
    width,
    height,
  });
  image.addEventListener("error", () => image.replaceWith(failed({ message: "The drawing could not be made" })));
  return image;
}

/** @param {import("../../api/types.js").MoleculeFigures} data */
function similarity(data) {
  const side = (/** @type {string} */ name, /** @type {Molecule | null} */ one) =>
    one &&
    h(
      "div",
      null,
      h("h3", null, name),
      one.valid
        ? [
            h("code", { class: "wrap" }, visible(one.smiles ?? "")),
            h("div", { class: "dim" }, visible(one.formula ?? ""), one.weight ? `, ${num(one.weight, 5)} g/mol` : ""),
          ]
        : h("p", { class: "bad" }, visible(one.error ?? "not a molecule")),
      one.input &&
        one.input !== one.smiles &&
        h(
          "details",
          null,
          h("summary", { class: "dim" }, "as written"),
          h("code", { class: "wrap" }, visible(one.input)),
        ),
    );
  return [
    h(
      "div",
      { class: "line" },
      data.gold &&
        data.predicted &&
        (data.same
          ? h("span", { class: "badge good" }, "the same molecule")
          : h("span", { class: "badge" }, "different molecules")),
      data.similarity &&
        Object.entries(data.similarity)
          .filter(([, v]) => v !== null)
          .map(([key, v]) =>
            h("span", null, h("span", { class: "dim" }, `${NAMES[key] ?? key} `), h("b", null, num(v))),
          ),
    ),
    h(
      "div",
      { class: "versus" },
      side("Predicted", data.predicted),
      side(data.predicted ? "Reference" : "Molecule", data.gold),
    ),
  ];
}
