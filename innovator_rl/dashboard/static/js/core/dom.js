// Building DOM nodes. The only way this page makes elements: text always ends up in text nodes, never in markup,
// so nothing a model wrote can become an element, an attribute or a script.

const SVG = "http://www.w3.org/2000/svg";

function apply(node, props) {
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "style") for (const [name, v] of Object.entries(value)) node.style.setProperty(name, v);
    else if (key === "dataset") Object.assign(node.dataset, value);
    else if (key === "value" || key === "checked" || key === "selected" || key === "indeterminate") node[key] = value;
    else node.setAttribute(key, value === true ? "" : String(value));
  }
}

export function append(node, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

/** An HTML element; `props` may hold attributes, `onclick`-style listeners, `style` and `dataset` objects. */
export function h(tag, props, ...children) {
  const node = document.createElement(tag);
  apply(node, props);
  return append(node, ...children);
}

/** An SVG element. */
export function s(tag, props, ...children) {
  const node = document.createElementNS(SVG, tag);
  apply(node, props);
  return append(node, ...children);
}

export function replace(node, ...children) {
  node.replaceChildren();
  return append(node, ...children);
}

/** An address a person may follow: http(s) only, opened apart, telling the other side nothing. */
export function outsideLink(url, label) {
  let parsed = null;
  try {
    parsed = new URL(url);
  } catch {
    return h("span", { class: "dead-link" }, label);
  }
  if (!["http:", "https:"].includes(parsed.protocol)) return h("span", { class: "dead-link", title: url }, label);
  return h(
    "a",
    { href: parsed.href, rel: "noopener noreferrer nofollow", target: "_blank", title: parsed.href },
    label,
  );
}

// Invisible characters that could fake what is read: controls, bidirectional overrides, zero-width ones.
const INVISIBLE =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\u{e0000}-\u{e007f}]/gu;

/** `text` with every invisible character written out, so that what is shown is what is there. */
export function visible(text) {
  return String(text)
    .replace(/\r\n/g, "\n")
    .replace(INVISIBLE, (c) => {
      const code = c.codePointAt(0);
      return code < 0x20
        ? String.fromCodePoint(0x2400 + code)
        : `‹U+${code.toString(16).toUpperCase().padStart(4, "0")}›`;
    });
}
