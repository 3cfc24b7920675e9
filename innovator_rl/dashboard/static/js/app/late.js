// Says so where the page does not come up: a script that cannot be loaded, or a server without a free connection. Loaded
// as a classic script, because it must work where the modules do not.
(() => {
  const WAIT_MS = 30000;
  const tell = (/** @type {string} */ why) => {
    const main = document.getElementById("main");
    if (!main || "started" in main.dataset) return;
    const line = document.createElement("p");
    line.className = "state error";
    line.setAttribute("role", "alert");
    line.textContent = `The page could not be loaded: ${why} Reload it; if that does not help, close other pages of this server.`;
    main.replaceChildren(line);
  };
  addEventListener("error", (event) => event.target instanceof HTMLScriptElement && tell("a script is missing."), true);
  setTimeout(() => tell("the server did not answer in time."), WAIT_MS);
})();
