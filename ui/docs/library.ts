/** The user documentation: Markdown in each language, made into HTML when it is asked for, with a list of each event at its end.
 * The text is ours and comes with the program; HTML within it is shown as text all the same. */

import { Marked, type Tokens } from "marked";
import { ALERTS, ENGLISH, EVENTS } from "../../lib/model/english.ts";
import type { Language, Translator } from "../i18n/translator.ts";
import { ZH_SENTENCES } from "../i18n/zh_tw/sentences.ts";
import { ADVICE_EN } from "./advice_en.ts";
import { ADVICE_ZH_TW } from "./advice_zh_tw.ts";
import { EN_PAGES } from "./en.ts";
import { ZH_TW_PAGES } from "./zh_tw.ts";

/** Names of the pages, in reading order. */
export const DOC_NAMES = [
  "getting-started",
  "states",
  "virtual-machines",
  "switchover",
  "replace-node",
  "witness",
  "what-if",
  "alerts",
  "security",
  "cli",
  "troubleshooting",
] as const;
export type DocName = typeof DOC_NAMES[number];

/** A part of a page: from one heading to the next. */
export interface DocSection {
  /** Anchor; the same in each language. */
  id: string;
  depth: number;
  title: string;
  /** Without marks, for searching. */
  text: string;
}

/** A page as it is shown. */
export interface DocPage {
  name: DocName;
  title: string;
  html: string;
  sections: DocSection[];
}

/** The list of events needs the sentences in the reader's language. */
type Words = Pick<Translator, "language">;

const SOURCES: Readonly<Record<Language, Readonly<Record<DocName, string>>>> = {
  "en": EN_PAGES,
  "zh-TW": ZH_TW_PAGES,
};

/** An anchor made of an English heading. */
function slug(title: string): string {
  return title.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
}

/** Each event and condition: its sentence, what it means, what to do. */
function eventList(t: Words): string {
  const advice = t.language === "zh-TW" ? ADVICE_ZH_TW : ADVICE_EN;
  const sentences = t.language === "zh-TW" ? ZH_SENTENCES : ENGLISH;
  const item = (code: keyof typeof advice) => {
    const sentence = (sentences[code] ?? code).replaceAll(/\{\w+\}/g, "…");
    return `- \`${code}\`: *${sentence}* ${advice[code]}\n`;
  };
  return Object.keys({ ...EVENTS, ...ALERTS }).map((code) => item(code as keyof typeof advice)).join("");
}

function source(name: DocName, t: Words): string {
  const text = SOURCES[t.language][name];
  return name === "troubleshooting" ? `${text}\n${eventList(t)}` : text;
}

/** Text as it is meant, for an attribute or an element. */
function escaped(text: string): string {
  const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return text.replace(/[&<>"]/g, (character) => entities[character]!);
}

/** Ours only: other pages of the documentation, paths of this node, anchors. */
function address(href: string): string | null {
  if (/^(\/[a-z0-9/_-]*)?(#[a-z0-9-]+)?$/.test(href) && href !== "") return href;
  return /^[a-z-]+(#[a-z0-9-]+)?$/.test(href) ? `/docs/${href}` : null;
}

/** Words of a page's Markdown without marks. */
function plain(markdown: string): string {
  return markdown.replace(/\]\([^)]*\)/g, "]").replace(/^\|[-| ]+\|$/gm, " ").replace(
    /[*`#|[\]]|^ {4}/gm,
    " ",
  )
    .replace(/\s+/g, " ").trim();
}

/** Makes a page. Anchors are those of the English one, so that links hold in each language. */
export function docPage(name: DocName, t: Words): DocPage {
  const markdown = source(name, t);
  const headings = (text: string) => [...text.matchAll(/^(#{1,6}) (.+)$/gm)];
  const ids = headings(SOURCES.en[name]).map(([, , title]) => slug(title!));
  const found = headings(markdown);
  const sections = found.map(([, marks, title], index): DocSection => ({
    id: ids[index]!,
    depth: marks!.length,
    title: title!,
    text: plain(markdown.slice(found[index]!.index, found[index + 1]?.index)),
  }));
  let next = 0;
  const marked = new Marked({
    renderer: {
      heading({ tokens, depth }: Tokens.Heading) {
        return `<h${depth} id="${ids[next++]}">${this.parser.parseInline(tokens)}</h${depth}>\n`;
      },
      html: ({ text }) => escaped(text),
      image: ({ text }) => escaped(text),
      link({ href, tokens }: Tokens.Link) {
        const text = this.parser.parseInline(tokens);
        const target = address(href);
        return target === null ? text : `<a href="${escaped(target)}">${text}</a>`;
      },
      code: ({ text }) => `<pre tabindex="0"><code>${escaped(text)}</code></pre>\n`,
    },
  });
  const html = marked.parse(markdown, { async: false })
    .replaceAll("<table>", '<div class="table-scroll" tabindex="0"><table>').replaceAll(
      "</table>",
      "</table></div>",
    );
  return { name, title: sections[0]!.title, html, sections };
}

/** All pages in a language. Kept: they change with the program only. */
export class DocLibrary {
  readonly #kept = new Map<string, DocPage>();

  page(name: DocName, t: Words): DocPage {
    const key = `${t.language}/${name}`;
    const page = this.#kept.get(key) ?? docPage(name, t);
    this.#kept.set(key, page);
    return page;
  }

  all(t: Words): DocPage[] {
    return DOC_NAMES.map((name) => this.page(name, t));
  }
}

/** Whether somebody asks for a page that there is. */
export function docName(name: string): DocName | undefined {
  return DOC_NAMES.find((known) => known === name);
}
