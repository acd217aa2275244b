/** The whole web app over a FakeBackend, on loopback, with a certificate made for it. Whoever comes is signed in as the administrator
 * "ann", unless they send the cookie `stranger=1`. */

import { Hono } from "hono";
import { apiRoutes } from "../../ui/api/app.ts";
import { openAccess } from "../../lib/access/access.ts";
import type { Access } from "../../lib/access/types.ts";
import { createApp } from "../../ui/app.ts";
import { consoleEndpoints, consoleReaders } from "../../ui/console/endpoint.ts";
import type { Env } from "../../ui/deps.ts";
import { pageRoutes } from "../../ui/pages/routes.tsx";
import { SESSION_COOKIE } from "../../ui/security/cookie.ts";
import { staticAssets, staticRoutes } from "../../ui/static.ts";
import { run } from "../../build/run.ts";
import { buildUi } from "../../build/ui.ts";
import { FakeBackend } from "./fake_backend.ts";

/** What fakeWeb makes. */
export interface FakeWeb extends AsyncDisposable {
  /** Without a slash at its end. */
  url: string;
  backend: FakeBackend;
  access: Access;
  /** The cookie of ann's session, for what cannot be signed in here: a WebSocket's request has to stay the one that came. */
  cookie: { name: string; value: string };
  /** Answers a request of somebody signed in, without a socket. */
  request(path: string, init?: RequestInit): Promise<Response>;
}

/** The request with the session's cookie, unless it is a stranger's. */
function signedIn(request: Request, secret: string): Request {
  const cookies = request.headers.get("cookie") ?? "";
  if (cookies.includes("stranger=1") || cookies.includes(`${SESSION_COOKIE}=`)) return request;
  const headers = new Headers(request.headers);
  headers.set("cookie", [cookies, `${SESSION_COOKIE}=${secret}`].filter((part) => part !== "").join("; "));
  return new Request(request, { headers });
}

async function certificate(directory: string): Promise<{ cert: string; key: string }> {
  const [cert, key] = [`${directory}/cert.pem`, `${directory}/key.pem`];
  await run([
    ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
    ...["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
    ...["-keyout", key, "-out", cert],
  ]);
  return { cert: await Deno.readTextFile(cert), key: await Deno.readTextFile(key) };
}

/** See above. `port` 0: any. */
export async function fakeWeb(options: { port?: number; backend?: FakeBackend } = {}): Promise<FakeWeb> {
  const backend = options.backend ?? new FakeBackend();
  const directory = await Deno.makeTempDir();
  const nowMs = () => backend.nowMs();
  const access = await openAccess({
    directory: `${directory}/access`,
    nowMs,
    label: "press-a",
    cost: { n: 16, r: 1, p: 1 },
  });
  const caller = { address: "127.0.0.1", agent: "test" };
  const ann = { name: "ann", password: "a long enough secret", language: null };
  const { secret } = await access.setup.redeem(access.setup.token()!, ann, caller);
  const assets = staticAssets(await buildUi());
  const deps = { backend, version: "0.1.0", nowMs, assets, access };
  const app = createApp({
    ...deps,
    // The backend's clock stands still; what bounds the rate of requests needs one that goes on.
    nowMs: Date.now,
    api: apiRoutes(deps),
    pages: new Hono<Env>().route("/", pageRoutes(deps)).route(
      "/",
      consoleEndpoints(deps, consoleReaders(access)),
    ),
    statics: staticRoutes(assets),
  });
  const answer = (request: Request) =>
    app.fetch(signedIn(request, secret), { peer: { kind: "tcp", address: "127.0.0.1" } });
  const end = new AbortController();
  const server = Deno.serve(
    {
      ...await certificate(directory),
      port: options.port ?? 0,
      hostname: "127.0.0.1",
      signal: end.signal,
      onListen() {},
    },
    answer,
  );
  const url = `https://127.0.0.1:${server.addr.port}`;
  return {
    url,
    backend,
    access,
    cookie: { name: SESSION_COOKIE, value: secret },
    request: async (path, init) => await answer(new Request(`${url}${path}`, init)),
    async [Symbol.asyncDispose]() {
      end.abort();
      await server.finished;
      await access[Symbol.asyncDispose]();
      await Deno.remove(directory, { recursive: true });
    },
  };
}
