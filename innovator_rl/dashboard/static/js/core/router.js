// Addresses. The whole state of a view is in the hash: `#/runs/NAME/rollouts?domain=physics&sort=-reward`, so every
// address can be copied, bookmarked and gone back to.

/** `{parts, query}` of a hash such as `#/runs/a/rollouts?step=3`. */
export function parse(hash = location.hash) {
  const [path, search = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const decode = (part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  };
  return { parts: path.split("/").filter(Boolean).map(decode), query: new URLSearchParams(search) };
}

/** The address of a view: `link(["runs", "a", "rollouts"], {step: 3})`. Empty values are left out; lists repeat the key. */
export function link(parts, query = {}) {
  const entries =
    query instanceof URLSearchParams
      ? [...query]
      : Object.entries(query).flatMap(([k, v]) => (Array.isArray(v) ? v.map((one) => [k, one]) : [[k, v]]));
  const search = new URLSearchParams(entries.filter(([, v]) => v !== null && v !== undefined && v !== ""));
  const text = search.toString();
  return `#/${parts.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

export function go(address, { replace = false } = {}) {
  if (address === location.hash) return;
  if (replace) {
    history.replaceState(null, "", address);
    dispatchEvent(new HashChangeEvent("hashchange"));
  } else location.hash = address;
}

/** The current address with `changes` made to its query; any change but of the page goes back to the first page. */
export function withQuery(changes) {
  const { parts, query } = parse();
  const next = new URLSearchParams(query);
  if (!("page" in changes)) next.delete("page");
  for (const [key, value] of Object.entries(changes)) {
    next.delete(key);
    for (const one of Array.isArray(value) ? value : [value])
      if (one !== null && one !== undefined && one !== "") next.append(key, one);
  }
  return link(parts, next);
}
