/** Reads what Prometheus reads: pages of metrics, and the part of its query language that our rules and dashboard use. Throws where
 * Prometheus would. */

export interface Family {
  name: string;
  type: string;
  help: string;
  samples: { labels: Record<string, string>; value: number }[];
}

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const PAIR = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)/;

function labelsOf(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (let rest = text; rest !== "";) {
    const found = PAIR.exec(rest);
    if (found === null) throw new Error(`labels: ${rest}`);
    if (Object.hasOwn(labels, found[1]!)) throw new Error(`the label ${found[1]} is there twice`);
    labels[found[1]!] = found[2]!.replace(/\\(.)/g, (_, c: string) => c === "n" ? "\n" : c);
    rest = rest.slice(found[0].length);
  }
  return labels;
}

/** A page of metrics. */
export function parseMetrics(text: string): Map<string, Family> {
  if (!text.endsWith("\n")) throw new Error("the last line has no end");
  const families = new Map<string, Family>();
  const series = new Set<string>();
  let family: Family | null = null;
  for (const line of text.slice(0, -1).split("\n")) {
    const help = /^# HELP (\S+) (.+)$/.exec(line), type = /^# TYPE (\S+) (gauge|counter|summary)$/.exec(line);
    if (help !== null) {
      if (families.has(help[1]!)) throw new Error(`${help[1]} is there twice`);
      family = { name: help[1]!, help: help[2]!, type: "", samples: [] };
      families.set(family.name, family);
    } else if (type !== null) {
      if (family === null || family.name !== type[1] || family.type !== "") throw new Error(line);
      family.type = type[2]!;
    } else {
      const found = SAMPLE.exec(line);
      if (found === null || family === null || found[1] !== family.name || family.type === "") {
        throw new Error(line);
      }
      const labels = labelsOf(found[2] ?? "");
      if (family.type !== "summary" && ("quantile" in labels || "le" in labels)) throw new Error(line);
      const key = JSON.stringify([found[1], Object.entries(labels).sort()]);
      if (series.has(key)) throw new Error(`twice: ${line}`);
      series.add(key);
      if (Number.isNaN(Number(found[3]))) throw new Error(line);
      family.samples.push({ labels, value: Number(found[3]) });
    }
  }
  return families;
}

/** What an expression asks for. */
export interface Used {
  metric: string;
  matchers: { label: string; op: string; value: string }[];
}

const TOKEN =
  /\s*(?:(\d+(?:\.\d+)?(?![a-z]))|(\[(?:\d+[smhdw]|\$__rate_interval|\$__range)\])|("(?:[^"\\]|\\.)*")|([a-zA-Z_:][a-zA-Z0-9_:]*)|(==|!=|>=|<=|=~|!~|[-+*/%^<>=(){},]))/y;
const FUNCTIONS: Record<string, "range" | "instant"> = {
  ...{ rate: "range", increase: "range", delta: "range", max_over_time: "range" },
  ...{ abs: "instant", time: "instant", absent: "instant" },
};
const AGGREGATIONS = new Set(["sum", "min", "max", "avg", "count"]);
const SETS = new Set(["and", "or", "unless"]);
const COMPARE = new Set(["==", "!=", ">", "<", ">=", "<="]);

/** Recursive descent, from the loosest operators to the tightest. */
class Parser {
  readonly used: Used[] = [];
  readonly grouped: string[] = [];
  readonly #tokens: string[];
  #at = 0;

  constructor(text: string) {
    this.#tokens = [];
    TOKEN.lastIndex = 0;
    for (let from = 0; text.slice(from).trim() !== ""; from = TOKEN.lastIndex) {
      TOKEN.lastIndex = from;
      const found = TOKEN.exec(text);
      if (found === null) throw new Error(`cannot read: ${text.slice(from)}`);
      this.#tokens.push(found[0].trim());
    }
  }

  #peek(): string {
    return this.#tokens[this.#at] ?? "";
  }

  #next(expected?: string): string {
    const token = this.#tokens[this.#at++];
    if (token === undefined || expected !== undefined && token !== expected) {
      throw new Error(`${expected ?? "more"} was expected, not ${token ?? "the end"}`);
    }
    return token;
  }

  whole(): void {
    this.#binary(0);
    if (this.#at !== this.#tokens.length) throw new Error(`too much: ${this.#peek()}`);
  }

  #binary(level: number): void {
    const levels = [
      (t: string) => t === "or",
      (t: string) => SETS.has(t) && t !== "or",
      (t: string) => COMPARE.has(t),
      (t: string) => t === "+" || t === "-",
      (t: string) => t === "*" || t === "/" || t === "%",
    ];
    const mine = levels[level];
    if (mine === undefined) return this.#unary();
    this.#binary(level + 1);
    while (mine(this.#peek())) {
      this.#next();
      if (this.#peek() === "on" || this.#peek() === "ignoring") {
        this.#next();
        this.#labels();
      }
      this.#binary(level + 1);
    }
  }

  #labels(): void {
    this.#next("(");
    while (this.#peek() !== ")") {
      this.grouped.push(this.#next());
      if (this.#peek() !== ")") this.#next(",");
    }
    this.#next(")");
  }

  #unary(): void {
    const token = this.#next();
    if (/^\d/.test(token)) return;
    if (token === "(") {
      this.#binary(0);
      this.#next(")");
    } else if (AGGREGATIONS.has(token)) {
      if (this.#peek() === "by" || this.#peek() === "without") {
        this.#next();
        this.#labels();
      }
      this.#next("(");
      this.#binary(0);
      this.#next(")");
    } else if (this.#peek() === "(") this.#call(token);
    else this.#selector(token, false);
  }

  #call(name: string): void {
    const takes = FUNCTIONS[name];
    if (takes === undefined) throw new Error(`${name} is no function that we know`);
    this.#next("(");
    if (takes === "range") this.#selector(this.#next(), true);
    else if (this.#peek() !== ")") this.#binary(0);
    this.#next(")");
  }

  #selector(metric: string, range: boolean): void {
    if (!/^[a-zA-Z_:]/.test(metric) || SETS.has(metric)) throw new Error(`${metric} is no metric`);
    const matchers: Used["matchers"] = [];
    if (this.#peek() === "{") {
      this.#next();
      while (this.#peek() !== "}") {
        const label = this.#next(), op = this.#next(), value = this.#next();
        if (!["=", "!=", "=~", "!~"].includes(op) || !value.startsWith('"')) {
          throw new Error(`${label}${op}${value}`);
        }
        matchers.push({ label, op, value: JSON.parse(value) });
        if (this.#peek() !== "}") this.#next(",");
      }
      this.#next("}");
    }
    if (range !== this.#peek().startsWith("[")) {
      throw new Error(`${metric}: a range ${range ? "is missing" : "is too much"}`);
    }
    if (range) this.#next();
    this.used.push({ metric, matchers });
  }
}

/** What an expression uses: its metrics with their matchers, and the labels that it groups by. */
export function parseExpression(text: string): { used: Used[]; grouped: string[] } {
  const parser = new Parser(text);
  parser.whole();
  return { used: parser.used, grouped: parser.grouped };
}

/** A rule of a rules file. */
export interface Rule {
  alert: string;
  expr: string;
  for: string | undefined;
  labels: Record<string, string>;
  annotations: Record<string, string>;
}

/** Reads a rules file written as ours is: two spaces, one line a value. */
export function parseRules(text: string): Rule[] {
  const rules: Rule[] = [];
  let map: Record<string, string> | null = null;
  for (const [i, line] of text.split("\n").entries()) {
    if (/^\s*(#.*)?$/.test(line) || /^(groups:| {2}- name: \S+| {4}rules:)$/.test(line)) continue;
    const found = /^( {6}- | {8}| {10})([a-z]+):(?: (.+))?$/.exec(line);
    if (found === null) throw new Error(`line ${i + 1}: ${line}`);
    const [, indent, key, raw] = found;
    const value = raw?.startsWith('"') ? JSON.parse(raw) as string : raw;
    if (indent!.includes("-")) {
      rules.push({ alert: value ?? "", expr: "", for: undefined, labels: {}, annotations: {} });
    }
    const rule = rules.at(-1);
    if (rule === undefined) throw new Error(`line ${i + 1}: before the first rule`);
    if (indent!.length === 10 && map !== null) map[key!] = value ?? "";
    else if (key === "labels" || key === "annotations") map = rule[key];
    else if (key === "expr" || key === "for" || key === "alert") rule[key] = value ?? "";
    else throw new Error(`line ${i + 1}: ${key}`);
  }
  return rules;
}
