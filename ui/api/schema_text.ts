/** A JSON schema as people read it: like a TypeScript type. */

/** What is used of JSON schema (OpenAPI 3.1). */
export interface JsonSchema {
  $ref?: string;
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  items?: JsonSchema;
  additionalProperties?: JsonSchema | boolean;
  oneOf?: JsonSchema[];
  anyOf?: JsonSchema[];
  allOf?: JsonSchema[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  pattern?: string;
  format?: string;
  default?: unknown;
}

/** Deeper than any schema of ours: a document that refers to itself ends here. */
const DEEPEST = 12;

/** The name that a reference ends in. */
export function refName(ref: string): string {
  return ref.split("/").at(-1) ?? ref;
}

function bounds(schema: JsonSchema): string {
  const range = (low: number | undefined, high: number | undefined, unit: string) =>
    low === undefined && high === undefined ? [] : [`${low ?? ""}..${high ?? ""}${unit}`];
  // Zod says "any safe integer" for those without bounds of their own.
  const unsafe = (value: number | undefined) =>
    value !== undefined && Math.abs(value) === Number.MAX_SAFE_INTEGER;
  const said = [
    ...range(
      unsafe(schema.minimum) ? undefined : schema.minimum,
      unsafe(schema.maximum) ? undefined : schema.maximum,
      "",
    ),
    ...range(schema.minLength, schema.maxLength, " characters"),
    ...range(schema.minItems, schema.maxItems, " items"),
    ...(schema.format === undefined ? [] : [schema.format]),
    ...(schema.pattern === undefined || schema.format !== undefined ? [] : [`/${schema.pattern}/`]),
    ...(schema.default === undefined ? [] : [`default ${JSON.stringify(schema.default)}`]),
  ];
  return said.length === 0 ? "" : ` (${said.join(", ")})`;
}

function objectText(schema: JsonSchema, depth: number): string {
  const pad = "  ".repeat(depth + 1);
  const required = new Set(schema.required ?? []);
  const lines = Object.entries(schema.properties ?? {}).map(([key, value]) =>
    `${pad}${key}${required.has(key) ? "" : "?"}: ${schemaText(value, depth + 1)}`
  );
  if (typeof schema.additionalProperties === "object") {
    lines.push(`${pad}[key]: ${schemaText(schema.additionalProperties, depth + 1)}`);
  }
  return lines.length === 0 ? "{}" : `{\n${lines.join("\n")}\n${"  ".repeat(depth)}}`;
}

/** The text; `depth` is how far it is indented. */
export function schemaText(schema: JsonSchema, depth = 0): string {
  if (depth > DEEPEST) return "...";
  if (schema.$ref !== undefined) return refName(schema.$ref);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) {
    return schema.enum.map((value) => JSON.stringify(value)).join(" | ") + bounds(schema);
  }
  const several = schema.oneOf ?? schema.anyOf;
  if (several !== undefined) return several.map((one) => schemaText(one, depth)).join(" | ");
  if (schema.allOf !== undefined) return schema.allOf.map((one) => schemaText(one, depth)).join(" & ");
  const types = Array.isArray(schema.type) ? schema.type : [schema.type ?? "any"];
  return types.map((type) => {
    if (type === "object") return objectText(schema, depth);
    if (type === "array") return `(${schemaText(schema.items ?? {}, depth)})[]`.replace(/^\((\w+)\)/, "$1");
    return type;
  }).join(" | ") + bounds(schema);
}
