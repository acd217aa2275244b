/** Takes secrets out of text that goes to other people: those that this node has, wherever they are, and whatever looks like one. */

const REMOVED = "[removed]";
/** Shorter ones would take words out of sentences. */
const SHORTEST = 6;

/** Names whose values are secrets. `cmdline`: a guest's kernel is given passwords there. */
const NAMES =
  "password|passwd|passphrase|secret|token|cookie|api[_-]?key|private[_-]?key|key_file_text|community|cmdline|totp|digits|credential";
const SECRET_NAME = new RegExp(`(?:${NAMES}|authorization)`, "i");

const PATTERNS: readonly [RegExp, string][] = [
  // Whole blocks, also those that were cut off.
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, REMOVED],
  [/otpauth:\/\/[^\s"'<>]+/gi, REMOVED],
  [/\b(cookie|authorization)(["']?\s*[:=]\s*)[^\r\n]+/gi, `$1$2${REMOVED}`],
  [/\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}/gi, `$1 ${REMOVED}`],
  [/(:\/\/)[^\s/@"']{1,200}@/g, `$1${REMOVED}@`],
  [/(https?:\/\/[^\s/"']*(?:hook|webhook|slack|teams|discord)[^\s/"']*)\/[^\s"']*/gi, `$1/${REMOVED}`],
  [/\bisft_[A-Za-z0-9_-]{10,}/g, REMOVED],
  [/\$?scrypt[$:][^\s"']{8,}/gi, REMOVED],
  // 256 random bits as this program writes them.
  [/(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{43}(?![A-Za-z0-9_=-])/g, REMOVED],
  [/(?<![0-9a-fA-F])[0-9a-fA-F]{64}(?![0-9a-fA-F])/g, REMOVED],
];

/** NAME = VALUE in whatever way programs write it: TOML, JSON, also within another string, INI, command lines, URLs. */
const ASSIGNED = new RegExp(
  `(\\\\?["']?[\\w.-]{0,40}(?:${NAMES})[\\w.-]{0,40}\\\\?["']?\\s*[:=]\\s*)` +
    `("""[\\s\\S]*?(?:"""|$)|\\\\"[^"\\\\]*\\\\?"?|"(?:[^"\\\\\\n]|\\\\.)*"?|'[^'\\n]*'?|[^\\s,;&}"']+)`,
  "gi",
);

/** Removes secrets. */
export class Redactor {
  readonly #known: readonly string[];

  /** `known`: secrets that this node has. */
  constructor(known: Iterable<string>) {
    const lines = [...known].flatMap((secret) => secret.split(/\r?\n/)).map((secret) => secret.trim());
    const kept = lines.filter((secret) => secret.length >= SHORTEST && !secret.startsWith("-----"));
    // Longer ones first, of which others may be a part.
    this.#known = [...new Set(kept.flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1)]))]
      .toSorted((a, b) => b.length - a.length);
  }

  /** Text without secrets. */
  text(text: string): string {
    let clean = text;
    for (const secret of this.#known) clean = clean.replaceAll(secret, REMOVED);
    for (const [pattern, instead] of PATTERNS) clean = clean.replaceAll(pattern, instead);
    return clean.replaceAll(ASSIGNED, (_, name: string, value: string) => {
      const quote = /^(?:"""|\\"|"|')/.exec(value)?.[0] ?? "";
      return `${name}${quote}${REMOVED}${quote}`;
    });
  }

  /** A value as JSON without secrets: those of properties with telling names, and those within texts. */
  json(value: unknown): string {
    return JSON.stringify(
      value,
      (name, inner) =>
        typeof inner !== "string"
          ? inner
          : inner !== "" && SECRET_NAME.test(name)
          ? REMOVED
          : this.text(inner),
      1,
    );
  }
}
