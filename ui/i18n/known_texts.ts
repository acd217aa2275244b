/** Finds which known English pattern a text is, and the values in it: texts that nodes give without a code (reasons within events, a runner's words,
 * what a node of an older version says) are put into the reader's language all the same. */

/** An English pattern and the same in another language. */
export interface KnownText {
  english: string;
  said: string;
}

interface Pattern {
  /** What stands between the values, in order: one more than there are values. */
  fixed: string[];
  names: string[];
  said: string;
}

/** Longest text and longest value that are looked at. */
const TEXT_MAX = 2000;
const VALUE_MAX = 1000;
/** Letters that a pattern must have beside its values, to be told by. */
const LETTERS_MIN = 4;

function patternOf({ english, said }: KnownText): Pattern {
  const parts = english.split(/\{(\w+)\}/);
  return {
    fixed: parts.filter((_, index) => index % 2 === 0),
    names: parts.filter((_, index) => index % 2 === 1),
    said,
  };
}

/** The values of a text that a pattern fits; null: it does not. Each value ends where what follows it begins first: no search that could take long. */
function valuesOf(text: string, { fixed, names }: Pattern): Record<string, string> | null {
  const [first = "", ...rest] = fixed;
  const last = rest.at(-1) ?? "";
  if (!text.startsWith(first) || !text.endsWith(last) || text.length < first.length + last.length) {
    return null;
  }
  const values: Record<string, string> = {};
  let at = first.length;
  for (const [index, name] of names.entries()) {
    const end = index === names.length - 1 ? text.length - last.length : text.indexOf(rest[index]!, at + 1);
    if (end <= at || end - at > VALUE_MAX) return null;
    values[name] = text.slice(at, end);
    at = end + rest[index]!.length;
  }
  return values;
}

/** Texts of one language, found by their English. */
export class KnownTexts {
  readonly #whole = new Map<string, string>();
  readonly #patterns: Pattern[];

  constructor(texts: Iterable<KnownText>) {
    const open: { pattern: Pattern; fixed: number }[] = [];
    for (const text of texts) {
      const pattern = patternOf(text);
      if (pattern.names.length === 0) this.#whole.set(text.english, text.said);
      else open.push({ pattern, fixed: pattern.fixed.join("").length });
    }
    // The one that says most itself is the one that is meant.
    this.#patterns = open.toSorted((a, b) => b.fixed - a.fixed).map(({ pattern }) => pattern);
  }

  /** The text's pattern in this language with its values; null: it is not known. */
  find(text: string): { said: string; values: Record<string, string> } | null {
    const whole = this.#whole.get(text);
    if (whole !== undefined) return { said: whole, values: {} };
    if (text.length > TEXT_MAX) return null;
    for (const pattern of this.#patterns) {
      const values = valuesOf(text, pattern);
      if (values !== null) return { said: pattern.said, values };
    }
    return null;
  }
}

/** Whether a pattern says enough itself to be told by: "{text}" fits everything. */
export function tells(english: string): boolean {
  return english.replace(/\{\w+\}/g, "").replace(/[^A-Za-z]/g, "").length >= LETTERS_MIN ||
    !english.includes("{");
}
