/** Makes a piece of the page like another one, changing as little as it can: what has the focus, is open or was typed stays. */

/** Attributes that belong to the reader, not to the node. */
const THEIRS = new Set(["open", "data-shown"]);

function attributes(from: Element, to: Element): void {
  for (const { name, value } of [...to.attributes]) {
    if (!THEIRS.has(name) && from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  for (const { name } of [...from.attributes]) {
    if (!THEIRS.has(name) && !to.hasAttribute(name)) from.removeAttribute(name);
  }
}

function same(a: Node, b: Node): boolean {
  if (a.nodeType !== b.nodeType || a.nodeName !== b.nodeName) return false;
  return !(a instanceof Element && b instanceof Element) || a.id === b.id;
}

function children(from: Element, to: Element): void {
  let at: ChildNode | null = from.firstChild;
  for (const wanted of [...to.childNodes]) {
    let found: ChildNode | null = at;
    if (found === null || !same(found, wanted)) {
      // The same thing further down: what was before it is gone, or new.
      const id = wanted instanceof Element ? wanted.id : "";
      found = id === ""
        ? null
        : [...from.children].find((child) => child.id === id && same(child, wanted)) ?? null;
    }
    if (found === null) {
      from.insertBefore(wanted, at);
      continue;
    }
    if (found === at) at = at.nextSibling;
    else from.insertBefore(found, at);
    morph(found, wanted);
  }
  while (at !== null) {
    const next: ChildNode | null = at.nextSibling;
    at.remove();
    at = next;
  }
}

/** See above. What has `data-keep` is the scripts' own. */
export function morph(from: Node, to: Node): void {
  if (from instanceof Element && to instanceof Element) {
    if (from.hasAttribute("data-keep")) return;
    attributes(from, to);
    if (from instanceof HTMLProgressElement && to instanceof HTMLProgressElement) from.value = to.value;
    children(from, to);
  } else if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue;
}
