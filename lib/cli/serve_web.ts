/** The page and the API of a node, listening. */

import { Hono } from "hono";
import { apiRoutes, metricsRoute } from "../../ui/api/app.ts";
import { createApp } from "../../ui/app.ts";
import { auditedBackend } from "../../ui/audited.ts";
import { consoleEndpoints, consoleReaders } from "../../ui/console/endpoint.ts";
import type { Env } from "../../ui/deps.ts";
import { listenWeb, type WebServer } from "../../ui/listen.ts";
import { pageRoutes } from "../../ui/pages/routes.tsx";
import { staticAssets, staticRoutes } from "../../ui/static.ts";
import type { Access } from "../access/types.ts";
import type { Backend } from "../model/backend.ts";
import { makeCertifiedKey } from "../node/certificate.ts";
import { assets } from "./assets.ts";
import type { ServeSettings } from "./serve.ts";
import { VERSION } from "./version.ts";

/** What the web is made of. */
export interface WebParts {
  backend: Backend;
  access: Access;
  say(level: "info" | "warning" | "error", text: string): void;
}

/** Names and addresses by which this machine is reached, for its own certificate. */
function reachedBy(settings: ServeSettings): string[] {
  const addresses = Deno.networkInterfaces().map((one) => one.address).filter((address) =>
    !address.startsWith("fe80:")
  );
  return [...new Set(["localhost", Deno.hostname(), ...settings.config.names, ...addresses])];
}

/** Begins to listen: on loopback and on the socket, and at --listen once there is an administrator. */
export async function openWeb(settings: ServeSettings, parts: WebParts): Promise<WebServer> {
  const { access, say } = parts;
  const backend = auditedBackend(parts.backend, access.audit);
  const late: { web?: WebServer } = {};
  const files = staticAssets(assets().ui);
  const deps = { backend, access, version: VERSION, nowMs: Date.now, assets: files };
  const api = new Hono<Env>();
  api.route("/", apiRoutes(deps));
  const pages = new Hono<Env>();
  pages.route("/", metricsRoute(deps));
  pages.route("/", pageRoutes(deps));
  pages.route("/", consoleEndpoints(deps, consoleReaders(access)));
  const app = createApp({
    ...deps,
    api,
    pages,
    statics: staticRoutes(files),
    names: () => settings.config.names,
    fingerprint: () => late.web?.certificate().fingerprint ?? "",
    log: (error) =>
      say("error", `a request failed: ${error instanceof Error ? error.stack ?? error.message : error}`),
  });
  late.web = await listenWeb({
    app,
    access,
    listen: { hostname: settings.listen.host, port: settings.listen.port },
    certificates: {
      directory: `${settings.places.data}/tls`,
      make: (names) => makeCertifiedKey(names),
      names: () => reachedBy(settings),
    },
    socket: `${settings.places.run}/serve.sock`,
    onSetupUrl: (url) =>
      say("info", `The link for the first administrator was an hour old. It is now:\n  ${url}`),
    nowMs: () => performance.now(),
    log: (text) => say("warning", text),
  });
  return late.web;
}
