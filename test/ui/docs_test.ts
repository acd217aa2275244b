import assert from "node:assert/strict";
import { ALERTS, EVENTS } from "../../lib/model/english.ts";
import { DOC_NAMES, DocLibrary, docPage } from "../../ui/docs/library.ts";
import { DocSearch, words } from "../../ui/docs/search.ts";
import { translator } from "../../ui/i18n/translator.ts";

const en = translator("en");
const zh = translator("zh-TW");
const library = new DocLibrary();

Deno.test("both languages have the same pages with the same headings, tables and lists", () => {
  const shape = (html: string) => ({
    headings: [...html.matchAll(/<h(\d) id="([^"]+)"/g)].map(([, depth, id]) => `${depth} ${id}`),
    rows: [...html.matchAll(/<tr>/g)].length,
    items: [...html.matchAll(/<li>/g)].length,
    blocks: [...html.matchAll(/<pre/g)].length,
    links: [...html.matchAll(/<a href="([^"]+)"/g)].map(([, href]) => href).sort(),
  });
  for (const name of DOC_NAMES) {
    assert.deepEqual(shape(docPage(name, zh).html), shape(docPage(name, en).html), name);
  }
});

Deno.test("each link within the documentation leads to a section that is there", () => {
  const targets = new Set(["/api/v1/reference"]);
  for (const page of library.all(en)) {
    targets.add(`/docs/${page.name}`);
    for (const { id } of page.sections) targets.add(`/docs/${page.name}#${id}`);
  }
  for (const page of [...library.all(en), ...library.all(zh)]) {
    for (const [, href] of page.html.matchAll(/<a href="([^"]+)"/g)) {
      const target = href!.startsWith("#") ? `/docs/${page.name}${href}` : href!;
      assert.ok(targets.has(target), `${page.name} links to ${href}`);
    }
  }
});

Deno.test("no mark of Markdown is left over, in neither language", () => {
  for (const page of [...library.all(en), ...library.all(zh)]) {
    const text = page.html.replace(/<pre[\s\S]*?<\/pre>|<code>[^<]*<\/code>|<[^>]+>/g, "");
    assert.doesNotMatch(text, /\*\*|\*\S|`|\]\(|^#/m, page.name);
  }
});

Deno.test("every event and every condition is explained, in both languages", () => {
  for (const t of [en, zh]) {
    const { html } = library.page("troubleshooting", t);
    for (const code of Object.keys({ ...EVENTS, ...ALERTS })) {
      assert.ok(html.includes(`<code>${code}</code>`), code);
    }
  }
});

Deno.test("anchors of one page are all different", () => {
  for (const page of library.all(en)) {
    const ids = page.sections.map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length, page.name);
  }
});

Deno.test("searching finds the section, in words of either language, with a slip of the finger too", () => {
  const search = new DocSearch(library);
  assert.equal(search.find("witness lost", en)[0]?.id, "when-the-witness-is-lost");
  assert.equal(search.find("見證機離線", zh)[0]?.id, "when-the-witness-is-lost");
  assert.ok(search.find("switchovr", en).some(({ page }) => page === "switchover"));
  assert.equal(search.find("exit code", en)[0]?.page, "cli");
  assert.deepEqual(search.find("xyzzyplugh", en), []);
  assert.deepEqual(search.find("", en), []);
});

Deno.test("Chinese is cut into neighbouring pairs, other text into words", () => {
  assert.deepEqual(words("見證機 id, TCP 7811"), ["見證", "證機", "id", "tcp", "7811"]);
});
