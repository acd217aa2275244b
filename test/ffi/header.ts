/** Reads the parts of the C headers that TypeScript repeats: a small parser for exactly our own style. */

/** One function of the header. */
export interface Prototype {
  name: string;
  /** Declarations, e.g. "const char *name"; empty for (void). */
  parameters: string[];
  result: string;
  /** The comment above it (or above the group it stands in) says SLOW. */
  slow: boolean;
}

/** All ISF_API functions of the header. */
export function prototypes(header: string): Prototype[] {
  const found: Prototype[] = [];
  let slow = false;
  for (const match of header.matchAll(/\/\*(.*?)\*\/|^ISF_API\s+([^;]*?)(\w+)\(([^)]*)\);/gms)) {
    if (match[1] !== undefined) {
      slow = /\bSLOW\b/.test(match[1]);
      continue;
    }
    const inside = (match[4] ?? "").replace(/\s+/g, " ").trim();
    found.push({
      name: match[3] ?? "",
      parameters: inside === "void" ? [] : inside.split(/\s*,\s*/),
      result: (match[2] ?? "").replace(/\s+/g, " ").trim(),
      slow,
    });
  }
  return found;
}

/** The Deno type for a C declaration: of a parameter (with its name), or of a result. */
export function denoType(declaration: string, role: "parameter" | "result"): string {
  const pointer = declaration.includes("*");
  if (pointer && role === "result") return "pointer";
  if (/^isf_engine \*\w+$/.test(declaration)) return "pointer";
  if (pointer) return "buffer";
  const type = role === "parameter" ? declaration.replace(/ \w+$/, "") : declaration;
  const fixed = /^(u?)int(8|16|32|64)_t$/.exec(type);
  if (fixed) return `${fixed[1] === "u" ? "u" : "i"}${fixed[2]}`;
  if (type === "void" && role === "result") return "void";
  throw new Error(`No Deno type for the C declaration "${declaration}"`);
}

/** Fields of a struct of uint64_t: name and count. */
export function structFields(header: string, name: string): [string, number][] {
  const body = new RegExp(`struct ${name} \\{(.*?)\\n\\};`, "s").exec(header)?.[1];
  if (body === undefined) throw new Error(`The header has no struct ${name}`);
  const fields: [string, number][] = [];
  for (const declaration of body.replace(/\/\*.*?\*\//gs, "").split(";")) {
    const text = declaration.replace(/\s+/g, " ").trim();
    if (text === "") continue;
    if (!text.startsWith("uint64_t ")) throw new Error(`struct ${name}: "${text}" is not of uint64_t`);
    for (const field of text.slice("uint64_t ".length).split(/\s*,\s*/)) {
      const parts = /^(\w+)(?:\[(\d+)\])?$/.exec(field);
      if (parts === null) throw new Error(`struct ${name}: cannot read the field "${field}"`);
      fields.push([parts[1] ?? "", Number(parts[2] ?? 1)]);
    }
  }
  return fields;
}

/** Members of an enum with their values, without `prefix`. */
export function enumValues(
  header: string,
  options: { start: RegExp; prefix: string },
): Record<string, number> {
  const at = options.start.exec(header);
  if (at === null) throw new Error(`The header has no ${options.start}`);
  const body = header.slice(at.index).match(/\{(.*?)\}/s)?.[1] ?? "";
  const values: Record<string, number> = {};
  let next = 0;
  for (const member of body.replace(/\/\*.*?\*\//gs, "").split(",")) {
    const parts = /^\s*(\w+)(?:\s*=\s*(\d+))?\s*$/.exec(member);
    if (parts === null) continue;
    next = parts[2] === undefined ? next : Number(parts[2]);
    const name = parts[1] ?? "";
    values[name.startsWith(options.prefix) ? name.slice(options.prefix.length) : name] = next++;
  }
  return values;
}

/** The table of events in the header's first comment: name and field names. */
export function eventTable(header: string): Record<string, string[]> {
  const events: Record<string, string[]> = {};
  const lines = header.split("\n");
  const start = lines.findIndex((line) => /^ \*\s+event\s+fields\s+when/.test(line));
  for (const line of lines.slice(start + 1)) {
    const row = /^ \* {3}(\w+) {2,}(\S.*?)(?: {2,}|$)/.exec(line);
    if (row === null) break;
    events[row[1] ?? ""] = (row[2] ?? "").split(/,\s*/).map((field) => field.split(" ")[0] ?? "");
  }
  return events;
}
