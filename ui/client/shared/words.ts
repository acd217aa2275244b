/** What the page says to its scripts: words in the reader's language, the node's clock. */

/** A text of the page, its values filled in. */
export function word(key: string, values: Record<string, string> = {}): string {
  const text = document.querySelector<HTMLMetaElement>("meta[name=iservft-words]")?.content ?? "{}";
  const pattern = (JSON.parse(text) as Record<string, string>)[key] ?? key;
  return pattern.replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? "");
}

const root = document.documentElement;
/** The node's clock minus ours, ms. */
const skew_ms = Number(root.dataset.now ?? Date.now()) - Date.now();

/** The node's time, Unix ms. */
export function nodeNow(): number {
  return Date.now() + skew_ms;
}

/** Locale of the page for Intl. */
export const locale = root.lang === "en" ? "en-GB" : root.lang;

/** Makes an element: text is text, never markup. */
export function make(
  tag: string,
  attributes: Record<string, string>,
  ...inside: (Node | string)[]
): HTMLElement {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...inside);
  return element;
}
