// The head of the page: the name of the run, the tabs of its views, and the switch between the light and the dark theme.

import { showHelp } from "../components/keys.js";
import { byId, h, replace, s } from "../core/dom.js";
import { RUN_VIEWS, viewLink } from "./views.js";

/** The button that switches the theme, and the function that it calls. */
function themeButton() {
  const root = document.documentElement;
  const label = () => (root.dataset.theme === "dark" ? "Light" : "Dark");
  const flip = () => {
    const next = root.dataset.theme === "dark" ? "light" : "dark";
    root.dataset.theme = next;
    localStorage.setItem("theme", next);
    button.textContent = label();
    dispatchEvent(new CustomEvent("themechange"));
  };
  const button = h("button", { class: "plain", onclick: flip, title: "Switch between light and dark (t)" }, label());
  return { button, flip };
}

/**
 * Draw the head.
 * @param {string | null} run
 * @param {string} current the part of the address that names the current tab
 * @returns {() => void} switches the theme
 */
export function drawHead(run, current) {
  const theme = themeButton();
  const top = byId("top");
  const logo = s(
    "svg",
    { viewBox: "0 0 32 32", "aria-hidden": "true" },
    s("path", { d: "M3 22h6v7H3zM13 14h6v15h-6zM23 4h6v25h-6z" }),
  );
  const tab = (/** @type {string} */ name, /** @type {string} */ title) =>
    run && h("a", { href: viewLink(run, name), "aria-current": name === current ? "page" : null }, title);
  replace(
    top,
    h(
      "div",
      { class: "bar" },
      h("a", { class: "brand", href: "#/" }, logo, "Innovator"),
      run && h("span", { class: "run-name", title: run }, run),
      run &&
        h(
          "nav",
          { class: "tabs", "aria-label": "Views of this run" },
          Object.entries(RUN_VIEWS).map(([name, [title]]) => tab(name, title)),
        ),
      h("span", { class: "grow" }),
      theme.button,
      h("button", { class: "plain", onclick: showHelp, "aria-label": "Keyboard help" }, h("kbd", null, "?")),
    ),
  );
  top.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  return theme.flip;
}
