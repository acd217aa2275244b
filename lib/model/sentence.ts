/** What is said to a person, as a code and its values: each language puts it into words (english.ts; ui/i18n). A leaf. */

/** How bad it is. Never shown by colour alone. */
export type Severity = "ok" | "info" | "warning" | "critical";

/** Values of a sentence, by name. Numbers are formatted for the language. */
export type Params = Record<string, string | number>;

/** The names in braces of a pattern: what its values are called. */
export type Places<Pattern extends string> = Pattern extends `${string}{${infer Name}}${infer Rest}`
  ? Name | Places<Rest>
  : never;

/** A sentence in no language yet. */
export interface Sentence<Code extends string = string> {
  code: Code;
  params: Params;
}

/** The one sentence about something, and what goes with it. */
export interface Verdict<Code extends string = string, Next extends string = string> {
  severity: Severity;
  said: Sentence<Code>;
  /** Since when, ISO 8601 with a zone; null: not known. */
  since: string | null;
  /** What to do next; null: nothing. */
  next: Sentence<Next> | null;
}

/** Puts values into a pattern: "{name}" is replaced. Throws when a value is missing, which a test of each catalogue finds. */
export function fill(pattern: string, params: Params, format: (value: number) => string = String): string {
  return pattern.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = params[name];
    if (value === undefined) throw new Error(`"${pattern}" lacks {${name}}`);
    return typeof value === "number" ? format(value) : value;
  });
}
