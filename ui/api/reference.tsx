/** The API's reference as one page, made of its document: nothing is loaded from anywhere. */

import type { ApiDocument } from "./document.ts";
import { type JsonSchema, schemaText } from "./schema_text.ts";

interface Content {
  [media: string]: { schema?: JsonSchema };
}

/** What is used of an operation. */
interface Operation {
  tags?: string[];
  summary?: string;
  parameters?: { name: string; in: string; required?: boolean; schema?: JsonSchema }[];
  requestBody?: { content?: Content };
  responses?: Record<string, { description: string; content?: Content }>;
  "x-permission"?: string;
  "x-fresh"?: boolean | "person";
}

const METHODS = ["get", "post", "put", "patch", "delete"] as const;

const STYLE = `
body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:0 auto;padding:1rem;color:CanvasText;background:Canvas}
:root{color-scheme:light dark}
h2{margin-top:2.5rem;border-bottom:1px solid GrayText}
code,pre{font-family:ui-monospace,monospace;font-size:.9em}
pre{overflow-x:auto;padding:.75rem;border:1px solid GrayText;border-radius:.3rem}
summary{cursor:pointer;padding:.4rem 0}
summary b{display:inline-block;min-width:4.5rem;font-family:ui-monospace,monospace}
.needs{font-size:.9em}
`;

function Shape({ title, content }: { title: string; content: Content | undefined }) {
  const [media, entry] = Object.entries(content ?? {})[0] ?? [];
  if (media === undefined || entry === undefined) return null;
  return (
    <>
      <p>
        {title} <code>{media}</code>
      </p>
      {media === "application/json" && entry.schema !== undefined && <pre>{schemaText(entry.schema)}</pre>}
    </>
  );
}

function needs(operation: Operation): string {
  const fresh = operation["x-fresh"];
  const again = fresh === "person"
    ? "; the password given again within five minutes, and no token"
    : fresh
    ? "; in a session, the password given again within five minutes"
    : "";
  return `${operation["x-permission"] ?? "view"}${again}`;
}

function Entry({ method, path, operation }: { method: string; path: string; operation: Operation }) {
  const [status, success] = Object.entries(operation.responses ?? {}).find(([code]) => code !== "default") ??
    [];
  return (
    <details>
      <summary>
        <b>{method.toUpperCase()}</b> <code>{path}</code> {operation.summary}
      </summary>
      <p class="needs">Needs: {needs(operation)}.</p>
      {(operation.parameters ?? []).length > 0 && (
        <ul>
          {(operation.parameters ?? []).map((parameter) => (
            <li>
              <code>{parameter.name}</code> in {parameter.in}
              {parameter.required === true ? "" : ", optional"}:{" "}
              <code>{schemaText(parameter.schema ?? {})}</code>
            </li>
          ))}
        </ul>
      )}
      <Shape title="Takes" content={operation.requestBody?.content} />
      <Shape title={`Gives ${status},`} content={success?.content} />
      {success?.content === undefined && <p>Gives {status}, without a body.</p>}
    </details>
  );
}

/** The page. */
export function referencePage(document: ApiDocument, { nonce }: { nonce: string }) {
  const base = document.servers?.[0]?.url ?? "";
  const entries = Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    METHODS.flatMap((method) => {
      const operation = (item as Record<string, Operation | undefined>)[method];
      return operation === undefined ? [] : [{ method, path: `${base}${path}`, operation }];
    })
  );
  const tags = [...new Set(entries.map(({ operation }) => operation.tags?.[0] ?? ""))];
  const schemas = Object.entries((document.components?.schemas ?? {}) as Record<string, JsonSchema>);
  return (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>{`${document.info.title} API ${document.info.version}`}</title>
        <style nonce={nonce}>{STYLE}</style>
      </head>
      <body>
        <h1>{document.info.title} API</h1>
        <p>{document.info.description}</p>
        <p>
          Version {document.info.version}. The same for programs:{" "}
          <a href="openapi.json">openapi.json</a>. Send{" "}
          <code>Authorization: Bearer TOKEN</code>, or use the unix socket of <code>serve</code>. Errors are
          {" "}
          <code>application/problem+json</code>; their <code>code</code> is stable.
        </p>
        {tags.map((tag) => (
          <section>
            <h2>{tag}</h2>
            {entries.filter(({ operation }) => (operation.tags?.[0] ?? "") === tag).map((entry) => (
              <Entry {...entry} />
            ))}
          </section>
        ))}
        <h2>Schemas</h2>
        {schemas.map(([name, schema]) => (
          <details id={name}>
            <summary>
              <code>{name}</code>
            </summary>
            <pre>{schemaText(schema)}</pre>
          </details>
        ))}
      </body>
    </html>
  );
}
