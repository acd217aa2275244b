/** Alerts, the node's own file, what doctor finds, the support bundle, metrics. */

import { z } from "zod";
import { alertSettings, alertView } from "../../lib/model/alerts.ts";
import { doctorView } from "../../lib/model/doctor.ts";
import type { WebDeps } from "../deps.ts";
import type { Define } from "./define.ts";

/** What Prometheus expects. */
const METRICS = "text/plain; version=0.0.4; charset=utf-8";

function alertRoutes(define: Define, deps: WebDeps): void {
  const { alerts } = deps.backend;
  const tag = "Alerts";
  define({
    method: "get",
    path: "/alerts",
    tag,
    summary: "What is wrong now",
    permission: "view",
    answer: z.array(alertView),
  }, () => deps.backend.snapshot().alerts);
  define({
    method: "get",
    path: "/alerts/settings",
    tag,
    summary: 'Who is told, and how; secrets show as "set"',
    permission: "administer",
    answer: alertSettings,
  }, () => alerts.settings());
  define({
    method: "put",
    path: "/alerts/settings",
    tag,
    summary: 'Sets who is told; a secret sent as "set" stays as it is',
    permission: "administer",
    body: alertSettings,
    answer: alertSettings,
  }, ({ body, actor }) => alerts.configure(body, actor));
  define({
    method: "post",
    path: "/alerts/test",
    tag,
    summary: "Sends a test by one channel",
    permission: "administer",
    body: z.strictObject({ channel: z.string().min(1).max(500) }),
    answer: z.object({ ok: z.boolean(), detail: z.string() }),
  }, ({ body, actor }) => alerts.test(body.channel, actor));
}

/** Declares /metrics. */
export function metricsAt(define: Define, { backend }: WebDeps): void {
  define({
    method: "get",
    path: "/metrics",
    tag: "Status",
    summary: "Metrics for Prometheus; the same at /metrics",
    permission: "view",
    answer: { media: "text/plain", description: "Prometheus' text format" },
  }, async ({ context }) => context.body(await backend.metrics(), 200, { "Content-Type": METRICS }));
}

/** Declares these routes. */
export function settingsRoutes(define: Define, deps: WebDeps): void {
  const { backend } = deps;
  const tag = "Node";
  alertRoutes(define, deps);
  define({
    method: "get",
    path: "/doctor",
    tag,
    summary: "Checks this node, and with peer=true the other one: what was seen, why it matters, what to do",
    permission: "operate",
    query: z.strictObject({ peer: z.enum(["true", "false"]).default("false") }),
    answer: doctorView,
  }, ({ query }) => backend.doctor({ peer: query.peer === "true" }));
  define({
    method: "get",
    path: "/config",
    tag,
    summary: "This node's own settings file",
    permission: "administer",
    answer: z.object({ file: z.string(), text: z.string() }),
  }, () => backend.config());
  define({
    method: "post",
    path: "/support-bundle",
    tag,
    summary: "Everything that helps to find a fault, without secrets",
    permission: "administer",
    answer: { media: "application/gzip", description: "A tar.gz" },
  }, async ({ actor, context }) =>
    context.body(await backend.supportBundle(actor), 200, {
      "Content-Type": "application/gzip",
      "Content-Disposition": 'attachment; filename="iservft-edge-support.tar.gz"',
      "Cache-Control": "no-store",
    }));
  metricsAt(define, deps);
}
