/** Finding things in the documentation: an index in memory, made at the first search. */

import MiniSearch from "minisearch";
import type { Translator } from "../i18n/translator.ts";
import type { DocLibrary, DocName } from "./library.ts";

/** A section that was found. */
export interface DocHit {
  page: DocName;
  /** Anchor. */
  id: string;
  pageTitle: string;
  title: string;
  /** Some words around what was found. */
  excerpt: string;
}

interface Entry {
  key: string;
  page: DocName;
  id: string;
  pageTitle: string;
  title: string;
  text: string;
}

const HITS = 20;
const AROUND = 70;

/** Words of a text; Chinese has no spaces, so each two neighbouring characters are one. */
export function words(text: string): string[] {
  const found: string[] = [];
  for (const run of text.toLowerCase().match(/[\p{Script=Han}]+|[^\s\p{P}\p{S}\p{Script=Han}]+/gu) ?? []) {
    const characters = [...run];
    if (!/\p{Script=Han}/u.test(run) || characters.length === 1) found.push(run);
    else for (let i = 0; i + 1 < characters.length; i++) found.push(characters[i]! + characters[i + 1]!);
  }
  return found;
}

function excerpt(text: string, terms: readonly string[]): string {
  const lower = text.toLowerCase();
  const places = terms.map((term) => lower.indexOf(term)).filter((at) => at >= 0);
  const start = Math.max(0, Math.min(...(places.length > 0 ? places : [0])) - AROUND);
  const cut = text.slice(start, start + 3 * AROUND).trim();
  return `${start > 0 ? "… " : ""}${cut}${start + 3 * AROUND < text.length ? " …" : ""}`;
}

/** Searches the documentation of one language. */
export class DocSearch {
  readonly #library: DocLibrary;
  readonly #indexes = new Map<string, MiniSearch<Entry>>();

  constructor(library: DocLibrary) {
    this.#library = library;
  }

  #index(t: Translator): MiniSearch<Entry> {
    const kept = this.#indexes.get(t.language);
    if (kept !== undefined) return kept;
    const index = new MiniSearch<Entry>({
      idField: "key",
      fields: ["title", "text"],
      storeFields: ["page", "id", "pageTitle", "title", "text"],
      tokenize: words,
      searchOptions: {
        boost: { title: 3 },
        prefix: (term) => term.length > 2,
        fuzzy: (term) => term.length > 4 ? 0.2 : 0,
      },
    });
    for (const page of this.#library.all(t)) {
      index.addAll(page.sections.map(({ id, title, text }) => ({
        key: `${page.name}#${id}`,
        page: page.name,
        id,
        pageTitle: page.title,
        title,
        text,
      })));
    }
    this.#indexes.set(t.language, index);
    return index;
  }

  /** The best sections for what somebody typed. */
  find(query: string, t: Translator): DocHit[] {
    const index = this.#index(t);
    const asked = query.slice(0, 200);
    const all = index.search(asked, { combineWith: "AND" });
    const hits = all.length > 0 ? all : index.search(asked);
    return hits.slice(0, HITS).map((hit) => ({
      page: hit.page,
      id: hit.id,
      pageTitle: hit.pageTitle,
      title: hit.title,
      excerpt: excerpt(hit.text, hit.terms),
    }));
  }
}
