/** The whole app with a backend that the test steers and real accounts, asked without a socket. */

import type { Hono } from "hono";
import { apiRoutes, metricsRoute } from "../../../ui/api/app.ts";
import type { StreamLimits } from "../../../ui/api/stream.ts";
import { createApp } from "../../../ui/app.ts";
import { Hono as Router } from "hono";
import type { Env, Peer } from "../../../ui/deps.ts";
import type { Access } from "../../../lib/access/types.ts";
import { ROLES } from "../../../lib/model/access.ts";
import { PASSWORD, type Rig, rig, user } from "../../access/kit.ts";
import { FakeBackend } from "../fake_backend.ts";

export const ORIGIN = "https://node-a:8443";

/** Who asks: nobody, a token of a role, the local socket, or a session's cookie. */
export type As = "nobody" | "viewer" | "operator" | "administrator" | "local" | { cookie: string };

export interface ApiRig extends AsyncDisposable {
  app: Hono<Env>;
  api: ReturnType<typeof apiRoutes>;
  backend: FakeBackend;
  access: Access;
  clock: Rig["clock"];
  /** Errors that nobody expected. */
  errors: unknown[];
  /** Asks /api/v1 + path. */
  ask(
    as: As,
    method: string,
    path: string,
    said?: { body?: unknown; headers?: Record<string, string>; signal?: AbortSignal },
  ): Promise<Response>;
  /** Signs an account in; its cookie. */
  signIn(name: string): Promise<{ cookie: string }>;
}

export async function apiRig(options: { limits?: StreamLimits } = {}): Promise<ApiRig> {
  const accounts = await rig();
  const { access, clock } = accounts;
  const secrets = new Map<string, string>();
  for (const role of ROLES) {
    secrets.set(role, (await access.tokens.create({ name: role, role, days: null }, "local")).secret);
  }
  await user(access, "ann", "administrator");
  const backend = new FakeBackend();
  const errors: unknown[] = [];
  const deps = {
    backend,
    access,
    version: "1.2.3",
    nowMs: () => backend.nowMs(),
    log: (error: unknown) => void errors.push(error),
    ...options,
  };
  const api = apiRoutes(deps);
  const app = createApp({
    ...deps,
    api,
    pages: metricsRoute(deps),
    statics: new Router<Env>(),
    ownNames: () => ["node-a"],
  });
  const bindings = (peer: Peer) => ({ peer });
  return {
    app,
    api,
    backend,
    access,
    clock,
    errors,
    async ask(as, method, path, said = {}) {
      const headers = new Headers(said.headers);
      headers.set("host", "node-a:8443");
      if (typeof as === "object") {
        headers.set("cookie", as.cookie);
        headers.set("origin", ORIGIN);
        headers.set("sec-fetch-site", "same-origin");
      } else if (secrets.has(as)) headers.set("authorization", `Bearer ${secrets.get(as)}`);
      const body = said.body === undefined
        ? null
        : typeof said.body === "string"
        ? said.body
        : JSON.stringify(said.body);
      if (body !== null) {
        headers.set("content-length", String(new TextEncoder().encode(body).length));
        if (!headers.has("content-type")) headers.set("content-type", "application/json");
      }
      const base = path.startsWith("/api/") || path === "/metrics" ? ORIGIN : `${ORIGIN}/api/v1`;
      const request = new Request(`${base}${path}`, {
        method,
        headers,
        body,
        ...(said.signal === undefined ? {} : { signal: said.signal }),
      });
      const peer: Peer = as === "local" ? { kind: "unix" } : { kind: "tcp", address: "192.0.2.7" };
      return await app.fetch(request, bindings(peer));
    },
    async signIn(name) {
      const { secret } = await access.sessions.begin({ name, password: PASSWORD, code: "" }, {
        address: "192.0.2.7",
        agent: "test",
      });
      return { cookie: `__Host-iservft=${secret}` };
    },
    [Symbol.asyncDispose]: () => accounts[Symbol.asyncDispose](),
  };
}

/** Every route, with what is asked of it in the tests, who may, and whether the password is needed again. */
export interface RouteCase {
  method: string;
  /** As declared. */
  path: string;
  /** As asked; the same when left out. */
  at?: string;
  permission: "view" | "operate" | "administer";
  fresh?: true | "person";
  body?: unknown;
}

const link = { local: "10.77.1.1", peer: "10.77.1.2" };
const settings = {
  link_a: link,
  link_b: null,
  lan: null,
  arbiter: "manual",
  witness: null,
  takeover_ms: 150,
};

/** See above. `press-1` is protected in the fake plant. */
export const ROUTES: readonly RouteCase[] = [
  { method: "get", path: "/status", permission: "view" },
  { method: "get", path: "/nodes", permission: "view" },
  { method: "get", path: "/metrics", permission: "view" },
  { method: "get", path: "/openapi.json", permission: "view" },
  { method: "get", path: "/reference", permission: "view" },
  { method: "get", path: "/pair", permission: "view" },
  { method: "post", path: "/pair/invite", permission: "administer" },
  {
    method: "post",
    path: "/pair/join",
    permission: "administer",
    body: { address: "10.0.0.2:7811", code: "K7QD-M3XR" },
  },
  { method: "post", path: "/pair/confirm", permission: "administer", fresh: true },
  { method: "post", path: "/pair/cancel", permission: "administer" },
  { method: "put", path: "/pair/settings", permission: "administer", body: settings },
  { method: "get", path: "/pair/suggest", permission: "administer" },
  { method: "post", path: "/pair/replace", permission: "administer", fresh: true },
  { method: "post", path: "/pair/rotate", permission: "administer", fresh: true },
  { method: "delete", path: "/pair", permission: "administer", fresh: true },
  { method: "get", path: "/vms", permission: "view" },
  { method: "post", path: "/vms", permission: "administer", body: { name: "new-1", memory_mib: 512 } },
  { method: "get", path: "/vms/{name}", at: "/vms/press-1", permission: "view" },
  {
    method: "patch",
    path: "/vms/{name}",
    at: "/vms/press-1",
    permission: "administer",
    body: { revision: 3, spec: { memory: 1024 } },
  },
  {
    method: "delete",
    path: "/vms/{name}",
    at: "/vms/historian?disks=true",
    permission: "administer",
    fresh: true,
  },
  {
    method: "post",
    path: "/vms/{name}/actions/{action}",
    at: "/vms/press-1/actions/verify",
    permission: "operate",
  },
  {
    method: "post",
    path: "/vms/{name}/actions/confirm_peer_off",
    at: "/vms/press-1/actions/confirm_peer_off",
    permission: "operate",
    fresh: true,
  },
  {
    method: "post",
    path: "/vms/{name}/actions/promote",
    at: "/vms/press-1/actions/promote",
    permission: "operate",
    fresh: true,
  },
  {
    method: "post",
    path: "/vms/{name}/actions/discard",
    at: "/vms/press-1/actions/discard",
    permission: "operate",
    fresh: true,
  },
  {
    method: "post",
    path: "/vms/{name}/actions/yield",
    at: "/vms/press-1/actions/yield",
    permission: "operate",
    fresh: true,
  },
  { method: "post", path: "/vms/{name}/switchover", at: "/vms/press-1/switchover", permission: "operate" },
  { method: "get", path: "/vms/{name}/switchover", at: "/vms/press-1/switchover", permission: "view" },
  { method: "get", path: "/vms/{name}/history", at: "/vms/press-1/history?points=10", permission: "view" },
  { method: "get", path: "/vms/{name}/logs", at: "/vms/press-1/logs?lines=2", permission: "view" },
  { method: "get", path: "/vms/{name}/file", at: "/vms/press-1/file", permission: "view" },
  { method: "get", path: "/jobs", permission: "view" },
  { method: "get", path: "/jobs/{id}", at: "/jobs/JOB", permission: "view" },
  { method: "post", path: "/jobs/{id}/cancel", at: "/jobs/JOB/cancel", permission: "operate" },
  { method: "get", path: "/events", at: "/events?limit=5&subject=vm", permission: "view" },
  { method: "get", path: "/events/export", at: "/events/export?format=json", permission: "view" },
  { method: "get", path: "/events/stream", permission: "view" },
  { method: "get", path: "/stream", permission: "view" },
  { method: "get", path: "/alerts", permission: "view" },
  { method: "get", path: "/alerts/settings", permission: "administer" },
  {
    method: "put",
    path: "/alerts/settings",
    permission: "administer",
    body: { channels: [], threshold: "critical" },
  },
  { method: "post", path: "/alerts/test", permission: "administer", body: { channel: "mail" } },
  { method: "get", path: "/doctor", at: "/doctor?peer=true", permission: "operate" },
  { method: "get", path: "/config", permission: "administer" },
  { method: "post", path: "/support-bundle", permission: "administer" },
  { method: "get", path: "/users", permission: "administer" },
  {
    method: "post",
    path: "/users",
    permission: "administer",
    fresh: "person",
    body: { name: "bob", password: "a long enough secret", role: "viewer" },
  },
  {
    method: "patch",
    path: "/users/{name}",
    at: "/users/ann",
    permission: "administer",
    fresh: "person",
    body: { language: "zh-TW" },
  },
  { method: "delete", path: "/users/{name}", at: "/users/bob", permission: "administer", fresh: "person" },
  { method: "get", path: "/users/{name}/sessions", at: "/users/ann/sessions", permission: "administer" },
  {
    method: "delete",
    path: "/users/{name}/sessions",
    at: "/users/nobody/sessions",
    permission: "administer",
  },
  { method: "get", path: "/tokens", permission: "administer" },
  {
    method: "post",
    path: "/tokens",
    permission: "administer",
    fresh: "person",
    body: { name: "grafana", role: "viewer" },
  },
  { method: "delete", path: "/tokens/{id}", at: "/tokens/TOKEN", permission: "administer", fresh: "person" },
  {
    method: "post",
    path: "/account/password",
    permission: "view",
    body: { old: "a long enough secret", new: "another long secret" },
  },
  { method: "get", path: "/audit", permission: "administer" },
  { method: "get", path: "/audit/verify", permission: "administer" },
];

/** The path to ask, with the ids of this rig. */
export function pathOf(route: RouteCase, made: ApiRig): string {
  const job = made.backend.jobs.list()[0]?.id ?? "none";
  const token = made.access.tokens.list().at(-1)?.id ?? "none";
  return (route.at ?? route.path).replace("JOB", job).replace("TOKEN", token);
}
