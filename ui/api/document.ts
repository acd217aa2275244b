/** The OpenAPI document, and a reference page made of it that needs nothing from elsewhere. */

import { OpenAPIHono } from "@hono/zod-openapi";
import { eventView } from "../../lib/model/event.ts";
import { tokenView, userView } from "../../lib/model/access.ts";
import { alertSettings, alertView } from "../../lib/model/alerts.ts";
import { doctorView } from "../../lib/model/doctor.ts";
import { nodeView, pairSettings, pairView } from "../../lib/model/node.ts";
import { problemView } from "../../lib/model/problem.ts";
import { snapshotView } from "../../lib/model/snapshot.ts";
import { jobView, switchoverView, verdictView, vmCreate, vmSample, vmView } from "../../lib/model/vm.ts";
import type { Env } from "../deps.ts";
import type { Define } from "./define.ts";
import { referencePage } from "./reference.tsx";

/** Where the API is mounted. */
export const API_BASE = "/api/v1";

/** Schemas that have a name in the document. */
const NAMED = {
  Alert: alertView,
  AlertSettings: alertSettings,
  Doctor: doctorView,
  Event: eventView,
  Job: jobView,
  Node: nodeView,
  Pair: pairView,
  PairSettings: pairSettings,
  Problem: problemView,
  Sample: vmSample,
  Snapshot: snapshotView,
  Switchover: switchoverView,
  Token: tokenView,
  User: userView,
  Verdict: verdictView,
  Vm: vmView,
  VmCreate: vmCreate,
} as const;

/** The document's head. */
function head(version: string) {
  return {
    openapi: "3.1.0",
    info: {
      title: "iservft-edge",
      version,
      description:
        "Fault tolerance for whole virtual machines: the API of a node. Everything in the page and the command line is here.",
    },
    servers: [{ url: API_BASE }],
    security: [{ token: [] }],
  };
}

/** Puts a reference wherever a schema that has a name stands written out: routes name model schemas, which know no names. */
function byReference(value: unknown, names: ReadonlyMap<string, string>): unknown {
  if (typeof value !== "object" || value === null) return value;
  const name = names.get(JSON.stringify(value));
  if (name !== undefined) return { $ref: `#/components/schemas/${name}` };
  return within(value, names);
}

function within(value: object, names: ReadonlyMap<string, string>): unknown {
  if (Array.isArray(value)) return value.map((item) => byReference(item, names));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, byReference(item, names)]));
}

/** The named schemas, each as the generator writes it. The registry cannot name them itself: it would have to be loaded before the model. */
function namedSchemas(): Record<string, object> {
  const app = new OpenAPIHono();
  for (const [name, schema] of Object.entries(NAMED)) {
    const content = { "application/json": { schema } };
    app.openAPIRegistry.registerPath({
      method: "get",
      path: `/${name}`,
      responses: { 200: { description: name, content } },
    });
  }
  const { paths = {} } = app.getOpenAPI31Document(head(""));
  return Object.fromEntries(
    Object.keys(NAMED).map((name) => {
      const response = paths[`/${name}`]?.get?.responses?.["200"] as {
        content: Record<string, { schema: object }>;
      };
      return [name, response.content["application/json"]!.schema];
    }),
  );
}

/** The document of an app's routes. */
export function openApiDocument(app: OpenAPIHono<Env>, version: string) {
  const document = app.getOpenAPI31Document(head(version));
  const schemas = namedSchemas();
  const names = new Map(Object.entries(schemas).map(([name, schema]) => [JSON.stringify(schema), name]));
  return {
    ...document,
    paths: byReference(document.paths, names) as typeof document.paths,
    components: {
      ...document.components,
      schemas: Object.fromEntries(
        Object.entries(schemas).map(([name, schema]) => [name, within(schema, names)]),
      ),
    } as typeof document.components,
  };
}
export type ApiDocument = ReturnType<typeof openApiDocument>;

/** Declares /openapi.json and /reference. */
export function documentRoutes(
  app: OpenAPIHono<Env>,
  { define, version }: { define: Define; version: string },
): void {
  app.openAPIRegistry.registerComponent("securitySchemes", "token", {
    type: "http",
    scheme: "bearer",
    description: "An API token. The page's session cookie and the local unix socket do as well.",
  });
  let document: ApiDocument | null = null;
  const made = () => document ??= openApiDocument(app, version);
  define({
    method: "get",
    path: "/openapi.json",
    tag: "Reference",
    summary: "This API as an OpenAPI 3.1 document",
    permission: "view",
    answer: { media: "application/json", description: "OpenAPI 3.1" },
  }, ({ context }) => context.json(made()));
  define({
    method: "get",
    path: "/reference",
    tag: "Reference",
    summary: "This API as a page",
    permission: "view",
    answer: { media: "text/html", description: "HTML" },
  }, ({ context }) => context.html(referencePage(made(), { nonce: context.get("nonce") ?? "" })));
}
