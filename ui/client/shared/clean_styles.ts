/** Lets a library that makes its own styles work where the page's policy allows none in the page: what it writes into <style> elements goes
 * into style sheets that are made by script, and style attributes are set by their properties. Both are scripts' ways that the policy allows,
 * since scripts are only ours. */

/** Stands in for a <style>: even an empty one in the page would be against the policy. */
function stand(element: HTMLElement): HTMLElement {
  const sheet = new CSSStyleSheet();
  const use = () => {
    if (!document.adoptedStyleSheets.includes(sheet)) document.adoptedStyleSheets.push(sheet);
  };
  let text = "";
  Object.defineProperty(element, "textContent", {
    get: () => text,
    set: (value: string) => {
      text = value;
      sheet.replaceSync(value);
      use();
    },
  });
  const remove = element.remove.bind(element);
  element.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((known) => known !== sheet);
    remove();
  };
  return element;
}

/** Begins; for the whole page. */
export function cleanStyles(): void {
  const create = document.createElement.bind(document);
  document.createElement = ((name: string, options?: ElementCreationOptions) => {
    const element = create(name, options);
    return element instanceof HTMLStyleElement ? stand(create("template")) : element;
  }) as typeof document.createElement;
  const set = Element.prototype.setAttribute;
  Element.prototype.setAttribute = function setAttribute(this: Element, name: string, value: string) {
    if (name === "style" && (this instanceof HTMLElement || this instanceof SVGElement)) {
      this.style.cssText = value;
    } else set.call(this, name, value);
  };
}
