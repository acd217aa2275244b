/** A node's web on loopback, at a port of its own, with a backend that is not asked anything; and a client that can be as rude as it likes. */

import { Hono } from "hono";
import type { Access } from "../../../lib/access/types.ts";
import type { Backend } from "../../../lib/model/backend.ts";
import { makeCertifiedKey } from "../../../lib/node/certificate.ts";
import { type AppDeps, createApp } from "../../../ui/app.ts";
import type { Env } from "../../../ui/deps.ts";
import { listenWeb, type WebServer } from "../../../ui/listen.ts";
import type { ConnectionLimits } from "../../../ui/security/connections.ts";
import { checkFresh, requirePermission } from "../../../ui/security/require.ts";
import { PASSWORD, rig, user } from "../../access/kit.ts";

/** What the stand-ins for API and pages were asked. */
export interface Seen {
  acted: number;
  opened: number;
  /** Pieces of the large answer. */
  sent: number;
}

/** An API and pages that do as the real ones: see, act, stream, upgrade. */
export function parts(seen: Seen): { api: Hono<Env>; pages: Hono<Env>; statics: Hono<Env> } {
  const api = new Hono<Env>();
  api.get("/vms", requirePermission("view"), (c) => c.json({ vms: [], by: c.get("principal")?.name }));
  api.post("/vms", requirePermission("operate"), async (c) => {
    const body = await c.req.text();
    seen.acted++;
    return c.json({ bytes: body.length }, 201);
  });
  api.delete("/vms/x", requirePermission("administer"), (c) => {
    checkFresh(c);
    seen.acted++;
    return c.json({});
  });
  api.get("/stream", requirePermission("view"), () => {
    seen.opened++;
    return new Response("data: {}\n\n", { headers: { "content-type": "text/event-stream" } });
  });
  api.get("/large", () =>
    new Response(
      new ReadableStream({
        pull(controller) {
          seen.sent++;
          controller.enqueue(new Uint8Array(65_536));
        },
      }),
    ));
  api.get("/console", (c) => {
    const { socket, response } = Deno.upgradeWebSocket(c.req.raw);
    seen.opened++;
    socket.onmessage = ({ data }) => socket.send(`you said ${data}`);
    return response;
  });
  const pages = new Hono<Env>().get("/", (c) => c.html("<p>home</p>"));
  const statics = new Hono<Env>().get("/app.css", (c) => c.text("p {}", 200, { "content-type": "text/css" }));
  return { api, pages, statics };
}

/** The app of a node, without a listener. */
export function appOf(
  access: Access,
  options: Partial<AppDeps> = {},
  seen: Seen = { acted: 0, opened: 0, sent: 0 },
) {
  return createApp({
    backend: {} as Backend,
    version: "0",
    nowMs: () => Date.now(),
    access,
    ...parts(seen),
    ownNames: () => ["plant-a", "127.0.0.2"],
    ...options,
  });
}

export interface WebRig extends AsyncDisposable {
  web: WebServer;
  access: Access;
  directory: string;
  clock: { ms: number };
  seen: Seen;
  logged: string[];
  /** The node's own certificate. */
  ca: string;
  client: Deno.HttpClient;
  url: string;
}

/** A node's web that listens; with an administrator "ann" unless told otherwise. */
export async function webRig(
  options: {
    administrator?: boolean;
    hostname?: string;
    nowMs?: () => number;
    limits?: ConnectionLimits;
    app?: (access: Access, seen: Seen) => Hono<Env>;
  } = {},
): Promise<WebRig> {
  const r = await rig();
  if (options.administrator !== false) await user(r.access, "ann", "administrator");
  const seen = { acted: 0, opened: 0, sent: 0 };
  const logged: string[] = [];
  const directory = `${r.directory}/../tls`;
  const web = await listenWeb({
    app: options.app?.(r.access, seen) ?? appOf(r.access, {}, seen),
    access: r.access,
    listen: { hostname: options.hostname ?? "127.0.0.1", port: 0 },
    certificates: {
      directory,
      make: makeCertifiedKey,
      names: () => ["localhost", "127.0.0.1", "127.0.0.2", "::1"],
    },
    socket: `${r.directory}/s`,
    onSetupUrl: (url) => logged.push(url),
    nowMs: options.nowMs ?? (() => performance.now()),
    log: (message) => logged.push(message),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  });
  const ca = web.certificate().certificate;
  const client = Deno.createHttpClient({ caCerts: [ca] });
  return {
    ...{ web, access: r.access, directory, clock: r.clock, seen, logged, ca, client },
    url: `https://127.0.0.1:${web.port()}`,
    async [Symbol.asyncDispose]() {
      client.close();
      await web[Symbol.asyncDispose]();
      await r[Symbol.asyncDispose]();
    },
  };
}

/** Signs in by the API; the cookie as a browser sends it. */
export async function cookieOf(r: WebRig, name = "ann"): Promise<string> {
  const response = await fetch(`${r.url}/api/v1/session`, {
    client: r.client,
    method: "POST",
    headers: { "content-type": "application/json", "origin": r.url },
    body: JSON.stringify({ name, password: PASSWORD }),
  });
  await response.body?.cancel();
  return response.headers.get("set-cookie")!.split(";")[0]!;
}

/** Sends bytes over TLS, as they are, and reads until the other side closes, or what `until` wants is there. */
export async function raw(
  r: Pick<WebRig, "web" | "ca">,
  text: string | Uint8Array<ArrayBuffer>,
  until: (answer: string) => boolean = (answer) => /\r\n\r\n/.test(answer),
): Promise<string> {
  const conn = await Deno.connectTls({
    hostname: "127.0.0.1",
    port: r.web.port(),
    caCerts: [r.ca],
    alpnProtocols: ["http/1.1"],
  });
  try {
    const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
    for (let sent = 0; sent < bytes.length;) sent += await conn.write(bytes.subarray(sent));
    let answer = "";
    const buffer = new Uint8Array(65_536);
    while (!until(answer)) {
      const count = await conn.read(buffer);
      if (count === null) break;
      answer += new TextDecoder().decode(buffer.subarray(0, count));
    }
    return answer;
  } finally {
    conn.close();
  }
}

/** "403" of an answer; "" of none. */
export function statusOf(answer: string): string {
  return /^HTTP\/1\.[01] (\d{3})/.exec(answer)?.[1] ?? "";
}
