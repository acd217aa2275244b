/** TOML files that people write: parsed, checked against a schema, every problem named by key and line. */

import { parse, TomlError } from "smol-toml";
import type { z } from "zod";
import { InputError, type InputProblem } from "../errors.ts";

type Path = readonly PropertyKey[];

/** Lines (from 1) of keys and table headers, by dotted key as in "disk[0].path". */
export function keyLines(text: string): Map<string, number> {
  const lines = new Map<string, number>();
  const counts = new Map<string, number>();
  let prefix = "";
  for (const [index, line] of text.split("\n").entries()) {
    const array = /^\s*\[\[\s*([\w.-]+)\s*\]\]/.exec(line)?.[1];
    const table = /^\s*\[\s*([\w.-]+)\s*\]/.exec(line)?.[1];
    const key = /^\s*("?)([\w.-]+)\1\s*=/.exec(line)?.[2];
    if (array !== undefined) {
      const count = counts.get(array) ?? 0;
      counts.set(array, count + 1);
      if (count === 0) lines.set(array, index + 1);
      prefix = `${array}[${count}]`;
      lines.set(prefix, index + 1);
    } else if (table !== undefined) {
      prefix = table;
      lines.set(prefix, index + 1);
    } else if (key !== undefined) {
      const full = prefix === "" ? key : `${prefix}.${key}`;
      if (!lines.has(full)) lines.set(full, index + 1);
    }
  }
  return lines;
}

/** "disk[0].path" for ["disk", 0, "path"]. */
export function dotted(path: Path): string {
  let text = "";
  for (const part of path) {
    text += typeof part === "number" ? `[${part}]` : text === "" ? String(part) : `.${String(part)}`;
  }
  return text;
}

/** The line of a key, or of the nearest table that it is (or should be) in; 1 at the worst. */
function lineOf(lines: Map<string, number>, path: Path): number {
  for (let length = path.length; length > 0; length--) {
    const line = lines.get(dotted(path.slice(0, length)));
    if (line !== undefined) return line;
  }
  return 1;
}

function valueAt(data: unknown, path: Path): unknown {
  let value = data;
  for (const part of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Record<PropertyKey, unknown>)[part];
  }
  return value;
}

function shown(value: unknown): string {
  const text = typeof value === "bigint" ? String(value) : JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function problemsOf(issue: z.core.$ZodIssue, data: unknown, lines: Map<string, number>): InputProblem[] {
  const at = (path: Path, problem: string) => ({ key: dotted(path), line: lineOf(lines, path), problem });
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) =>
      at([...issue.path, key], "unknown key; remove it or correct its spelling")
    );
  }
  const value = valueAt(data, issue.path);
  if (value === undefined && issue.code === "custom") return [at(issue.path, issue.message)];
  if (value === undefined) {
    const allowed = issue.code === "invalid_value" ? `one of ${issue.values.map(shown).join(", ")}` : "";
    return [at(issue.path, `is missing${allowed === "" ? "" : `; allowed: ${allowed}`}`)];
  }
  if (issue.code === "invalid_value") {
    return [at(issue.path, `is ${shown(value)}; allowed: ${issue.values.map(shown).join(", ")}`)];
  }
  if (issue.code === "invalid_type") {
    return [
      at(
        issue.path,
        `is ${shown(value)}; it must be a${/^[aeio]/.test(issue.expected) ? "n" : ""} ${issue.expected}`,
      ),
    ];
  }
  return [at(issue.path, `is ${shown(value)}; ${issue.message}`)];
}

/** Parses `text` of `file` by `schema`. Throws InputError with every problem at once. */
export function parseToml<Schema extends z.ZodType>(
  schema: Schema,
  source: { file: string; text: string },
): z.infer<Schema> {
  const { file, text } = source;
  let data: unknown;
  try {
    data = parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const problem = `is not TOML: ${error.message.split("\n")[0] ?? "cannot be read"}`;
    throw new InputError(file, [{ key: "", line: error.line, problem }]);
  }
  const result = schema.safeParse(data);
  if (result.success) return result.data;
  const lines = keyLines(text);
  const problems = result.error.issues.flatMap((issue) => problemsOf(issue, data, lines));
  throw new InputError(file, problems.sort((a, b) => a.line - b.line));
}

/** Reads a file for parseToml. Throws InputError when it cannot be read. */
export function readInput(file: string): { file: string; text: string } {
  try {
    return { file, text: Deno.readTextFileSync(file) };
  } catch (error) {
    const problem = error instanceof Deno.errors.NotFound
      ? "does not exist; check the path"
      : `cannot be read: ${error instanceof Error ? error.message : String(error)}`;
    throw new InputError(file, [{ key: "", line: 0, problem }]);
  }
}
