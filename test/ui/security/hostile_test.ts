import assert from "node:assert/strict";
import { Hono } from "hono";
import { csrf } from "hono/csrf";
import { methodOverride } from "hono/method-override";
import type { Access } from "../../../lib/access/types.ts";
import type { Env } from "../../../ui/deps.ts";
import { authenticate, principalNow } from "../../../ui/security/authenticate.ts";
import { PASSWORD, user } from "../../access/kit.ts";
import { cookieOf, parts, raw, type Seen, statusOf, type WebRig, webRig } from "./kit.ts";

/** The same routes with nothing before them but knowing who asks, and what a framework brings: the negative control. */
function unguarded(access: Access, seen: Seen): Hono<Env> {
  const app = new Hono<Env>();
  app.use(csrf(), authenticate(access));
  const { api, pages } = parts(seen);
  return app.route("/api/v1", api).route("/", pages);
}

interface Sent {
  method?: string;
  path?: string;
  headers?: Record<string, string>;
  body?: string;
}

/** One request, written out; Host is right unless it is given. */
function request(r: WebRig, { method = "GET", path = "/api/v1/vms", headers = {}, body = "" }: Sent): string {
  const all: Record<string, string> = { Host: `127.0.0.1:${r.web.port()}`, ...headers };
  if (body !== "" && all["Content-Length"] === undefined) all["Content-Length"] = String(body.length);
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n${body}`;
}

async function status(r: WebRig, sent: Sent): Promise<string> {
  return statusOf(await raw(r, request(r, sent)));
}

const UPGRADE = {
  "Connection": "Upgrade",
  "Upgrade": "websocket",
  "Sec-WebSocket-Version": "13",
  "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
};
const JSON_BODY = { headers: { "Content-Type": "application/json" }, body: '{"name":"x"}' };

/** What acts, or listens. */
const ACTIONS: Record<string, Sent> = {
  "a JSON body": { method: "POST", ...JSON_BODY },
  "a DELETE": { method: "DELETE", path: "/api/v1/vms/x" },
  "a WebSocket upgrade": { path: "/api/v1/console", headers: UPGRADE },
  "an event stream": { path: "/api/v1/stream", headers: { Accept: "text/event-stream" } },
};

function foreign(r: WebRig): Record<string, Record<string, string>> {
  const port = r.web.port();
  return {
    "another site": { "Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site" },
    "another site, in a browser without Sec-Fetch-Site": { Origin: "https://evil.example" },
    "a sandboxed frame": { Origin: "null" },
    "another port of the same host": {
      "Origin": `https://127.0.0.1:${port + 1}`,
      "Sec-Fetch-Site": "same-site",
    },
    "the same port without TLS": { Origin: `http://127.0.0.1:${port}` },
    "the same site, without an Origin": { "Sec-Fetch-Site": "same-site" },
    "nowhere": {},
  };
}

function withHeaders(sent: Sent, headers: Record<string, string>): Sent {
  return { ...sent, headers: { ...sent.headers, ...headers } };
}

Deno.test("with the user's cookie, nothing acts or listens that does not come from our own page", async () => {
  await using r = await webRig();
  const Cookie = await cookieOf(r);
  for (const [what, action] of Object.entries(ACTIONS)) {
    for (const [where, headers] of Object.entries(foreign(r))) {
      assert.equal(
        await status(r, withHeaders(action, { ...headers, Cookie })),
        "403",
        `${what} from ${where}`,
      );
    }
  }
  assert.deepEqual([r.seen.acted, r.seen.opened], [0, 0]);
  const own = { Cookie, "Origin": r.url, "Sec-Fetch-Site": "same-origin" };
  const answers: string[] = [];
  for (const action of Object.values(ACTIONS)) answers.push(await status(r, withHeaders(action, own)));
  assert.deepEqual(answers, ["201", "200", "101", "200"]);
});

Deno.test("negative control: Hono's csrf() lets JSON, an upgrade and a stream from another site pass", async () => {
  await using r = await webRig({ app: unguarded });
  const { secret } = await r.access.sessions.begin({ name: "ann", password: PASSWORD, code: "" }, {
    address: "127.0.0.1",
    agent: "",
  });
  const Cookie = `__Host-iservft=${secret}`;
  const evil = { Cookie, "Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site" };
  const passed: string[] = [];
  for (const what of ["a JSON body", "a WebSocket upgrade", "an event stream"]) {
    passed.push(await status(r, withHeaders(ACTIONS[what]!, evil)));
  }
  assert.deepEqual(passed, ["201", "101", "200"]);
  assert.deepEqual([r.seen.acted, r.seen.opened], [1, 2]);
});

Deno.test("a page may be reached by a link on another site, and by nothing else of it", async () => {
  await using r = await webRig();
  const cross = { "Sec-Fetch-Site": "cross-site", "Accept": "text/html" };
  const link = { ...cross, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document" };
  assert.equal(await status(r, { path: "/login", headers: link }), "200");
  const frame = { ...link, "Sec-Fetch-Dest": "iframe" };
  assert.equal(await status(r, { path: "/login", headers: frame }), "403");
  const image = { ...cross, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image" };
  assert.equal(await status(r, { path: "/static/app.css", headers: image }), "403");
});

const REBOUND = [
  "evil.example",
  "127.0.0.1.evil.example",
  "localhost.evil.example",
  "user@127.0.0.1",
  "10.255.255.1",
  "[fe80::7]",
];

Deno.test("a page that lets its own name point here gets nothing, whoever is signed in", async () => {
  await using r = await webRig();
  const Cookie = await cookieOf(r);
  for (const name of REBOUND) {
    for (const Host of [name, `${name}:${r.web.port()}`]) {
      assert.equal(await status(r, { headers: { Host, Cookie } }), "421", Host);
      assert.equal(await status(r, { path: "/login", headers: { Host } }), "421", Host);
    }
  }
  assert.equal(await status(r, { path: "http://evil.example/api/v1/vms", headers: { Cookie } }), "421");
  // The last two make no URL at all.
  for (const Host of ["", "127.0.0.1:99999", "127.0.0.1:9."]) {
    assert.equal(await status(r, { headers: { Host, Cookie } }), "421", Host);
  }
  for (const Host of ["localhost", "127.0.0.1", `plant-a:${r.web.port()}`, "[::1]:9"]) {
    assert.equal(await status(r, { headers: { Host, Cookie } }), "200", Host);
  }
  const none = await raw(r, `GET /api/v1/vms HTTP/1.1\r\nCookie: ${Cookie}\r\n\r\n`);
  assert.equal(statusOf(none), "400");
});

Deno.test("negative control: without the list of hosts a rebound name is answered", async () => {
  await using r = await webRig({ app: unguarded });
  const { secret } = await r.access.tokens.create({ name: "t", role: "viewer", days: null }, "local");
  const headers = { Host: "evil.example", Authorization: `Bearer ${secret}` };
  assert.equal(await status(r, { headers }), "200");
});

Deno.test("without a token, with a wrong one, or with one in the wrong place, nothing is answered", async () => {
  await using r = await webRig();
  const Cookie = await cookieOf(r);
  const { secret, view } = await r.access.tokens.create({ name: "t", role: "viewer", days: null }, "local");
  const tries: Record<string, string>[] = [
    {},
    { Authorization: "Bearer " },
    { Authorization: `Bearer ${"x".repeat(48)}` },
    { Authorization: `Bearer ${secret} ${secret}` },
    { Authorization: `Basic ${btoa(`ann:${PASSWORD}`)}` },
    { Cookie: `__Host-iservft=${secret}` },
    { Cookie: `iservft=${Cookie.split("=")[1]}` },
    { Cookie: `${Cookie}; ${Cookie}x` },
    { Cookie, Authorization: "Bearer wrong" },
  ];
  for (const headers of tries) {
    for (const path of ["/api/v1/vms", "/api/v1/nothing", "/api/v1/openapi.json", "/metrics"]) {
      assert.equal(await status(r, { path, headers }), "401", JSON.stringify(headers));
    }
  }
  assert.equal(await status(r, { path: `/api/v1/vms?token=${secret}` }), "401");
  const headers = { Authorization: `Bearer ${secret}` };
  assert.equal(await status(r, { headers }), "200");
  assert.equal(
    await status(r, { method: "POST", ...JSON_BODY, headers: { ...JSON_BODY.headers, ...headers } }),
    "403",
  );
  await r.access.tokens.remove(view.id, "local");
  assert.equal(await status(r, { headers }), "401");
});

Deno.test("a cookie that was stolen is dead after its owner signed out, and opens no console that stays", async () => {
  await using r = await webRig();
  const Cookie = await cookieOf(r);
  const stolen = { Cookie };
  assert.equal(await status(r, { headers: stolen }), "200");
  const held = { env: {}, req: { raw: new Request(r.url, { headers: { cookie: Cookie } }) } };
  assert.equal(principalNow(r.access, held)?.name, "user:ann");
  const out = { method: "DELETE", path: "/api/v1/session", headers: { Cookie, Origin: r.url } };
  assert.equal(await status(r, out), "204");
  assert.equal(await status(r, { headers: stolen }), "401");
  assert.equal(principalNow(r.access, held), null);
});

Deno.test("a signed-in user is asked for the password again before what is dangerous, and a viewer never may", async () => {
  await using r = await webRig();
  await user(r.access, "vic", "viewer");
  const remove = (Cookie: string) =>
    status(r, { method: "DELETE", path: "/api/v1/vms/x", headers: { Cookie, Origin: r.url } });
  assert.equal(await remove(await cookieOf(r, "vic")), "403");
  const ann = await cookieOf(r);
  r.clock.ms += 5 * 60_000;
  assert.equal(await remove(ann), "401");
  assert.equal(r.seen.acted, 0);
  const again = { Cookie: ann, "Origin": r.url, "Content-Type": "application/json" };
  const path = "/api/v1/session/reauthenticate";
  assert.equal(
    await status(r, { method: "POST", path, headers: again, body: JSON.stringify({ password: PASSWORD }) }),
    "204",
  );
  assert.equal(await remove(ann), "200");
});

Deno.test("bodies that are too large, of the wrong type, or no JSON are refused, and strangers may send little", async () => {
  await using r = await webRig();
  const Cookie = await cookieOf(r);
  const own = { Cookie, "Origin": r.url, "Content-Type": "application/json" };
  const post = (sent: Sent) => status(r, { method: "POST", ...sent, headers: { ...own, ...sent.headers } });
  const reauthenticate = { path: "/api/v1/session/reauthenticate" };
  assert.equal(await post({ headers: { "Content-Length": "2000000" } }), "413");
  assert.equal(await post({ headers: { "Content-Length": "9999999999999999" } }), "413");
  const chunk = `${(1 << 20).toString(16)}\r\n${"x".repeat(1 << 20)}\r\n`;
  const chunked = request(r, { method: "POST", headers: { ...own, "Transfer-Encoding": "chunked" } });
  assert.equal(statusOf(await raw(r, `${chunked}${chunk}${chunk}0\r\n\r\n`)), "413");
  const stranger = { "Origin": r.url, "Content-Type": "application/json" };
  const large = JSON.stringify({ name: "ann", password: "x".repeat(9000) });
  assert.equal(
    await status(r, { method: "POST", path: "/api/v1/session", headers: stranger, body: large }),
    "413",
  );
  for (
    const body of [
      "{",
      "[]",
      "null",
      '"x"',
      '{"password":7}',
      '{"password":"x","more":1}',
      '{"a":'.repeat(50_000),
      "\x00\xff",
    ]
  ) {
    assert.equal(await post({ ...reauthenticate, body }), "400", body.slice(0, 20));
  }
  for (
    const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
  ) {
    assert.match(
      await post({ ...reauthenticate, body: "{}", headers: { "Content-Type": type } }),
      /^(400|415)$/,
      type,
    );
  }
  assert.equal(await status(r, { headers: { ...own, "Content-Length": "3" }, body: "abc" }), "400"); // a GET with a body
  assert.equal(r.seen.acted, 0);
});

const TRICKS = [
  ...[
    "/api/v1/../v1/vms",
    "/static/%2e%2e/api/v1/vms",
    "/static/..%2fapi/v1/vms",
    "/static/%252e%252e/x",
    "/static/./app.css",
  ],
  ...[
    "//api/v1/vms",
    "/api//v1/vms",
    "/api/v1/vms%00",
    "/api/v1/vms%0d%0aX:1",
    "/static\\..\\x",
    "/static/%5c..%5cx",
    "/x%7f",
    "/x\xff",
  ],
];

Deno.test("paths that can be read in two ways are refused, before anybody asks who it is", async () => {
  await using r = await webRig();
  const Cookie = await cookieOf(r);
  for (const path of TRICKS) {
    for (const headers of [{ Cookie }, {}] as Record<string, string>[]) {
      const bytes = Uint8Array.from(request(r, { path, headers }), (one) => one.charCodeAt(0));
      assert.equal(statusOf(await raw(r, bytes)), "400", path);
    }
  }
  assert.equal(await status(r, { path: `/${"a".repeat(5000)}` }), "413");
  assert.match(await status(r, { headers: { "X-Large": "x".repeat(600_000) } }), /^(4\d\d)?$/);
  for (const method of ["TRACE", "CONNECT", "OPTIONS", "PROPFIND", "get"]) {
    assert.match(await status(r, { method, headers: { Cookie } }), /^4/, method);
  }
});

Deno.test("no header and no field makes another method of a POST", async () => {
  await using r = await webRig();
  const Cookie = await cookieOf(r);
  const form = { Cookie, "Origin": r.url, "Content-Type": "application/x-www-form-urlencoded" };
  for (const name of ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"]) {
    const sent = {
      method: "POST",
      path: "/api/v1/vms/x",
      headers: { Cookie, Origin: r.url, [name]: "DELETE" },
    };
    assert.equal(await status(r, sent), "400");
  }
  const field = {
    method: "POST",
    path: "/api/v1/vms/x?_method=DELETE",
    headers: form,
    body: "_method=DELETE",
  };
  assert.notEqual(await status(r, field), "200");
  assert.equal(r.seen.acted, 0);
});

Deno.test("negative control: with method override switched on, the field deletes", async () => {
  await using r = await webRig({
    app(access, seen) {
      const app = new Hono<Env>();
      app.use(authenticate(access));
      app.use("/api/*", methodOverride({ app: app as unknown as Hono }));
      return app.route("/api/v1", parts(seen).api);
    },
  });
  const { secret } = await r.access.tokens.create({ name: "t", role: "administrator", days: null }, "local");
  const headers = {
    "Authorization": `Bearer ${secret}`,
    "Content-Type": "application/x-www-form-urlencoded",
  };
  assert.equal(
    await status(r, { method: "POST", path: "/api/v1/vms/x", headers, body: "_method=DELETE" }),
    "200",
  );
  assert.equal(r.seen.acted, 1);
});

Deno.test("a body that has two lengths is one answer and no second request", async () => {
  await using r = await webRig();
  const Cookie = await cookieOf(r);
  const hidden = request(r, { method: "DELETE", path: "/api/v1/vms/x", headers: { Cookie, Origin: r.url } });
  const base = { Origin: r.url, "Content-Type": "application/json" };
  const ways: Record<string, string>[] = [
    { "Content-Length": String(hidden.length + 5), "Transfer-Encoding": "chunked" },
    { "Content-Length": "4", "content-length": "5" },
    { "Transfer-Encoding": "xchunked" },
    { "Transfer-Encoding": "chunked, identity" },
    { "Transfer-Encoding ": "chunked" },
    { "Content-Length": "+4" },
    { "Content-Length": "-1" },
    { "X-Folded": "a\r\n b" },
  ];
  for (const headers of ways) {
    const sent = request(r, { method: "POST", path: "/api/v1/session", headers: { ...base, ...headers } });
    const answer = await raw(r, `${sent}0\r\n\r\n${hidden}`);
    assert.equal(statusOf(answer), "400", JSON.stringify(headers));
    assert.equal(answer.match(/HTTP\/1\.1 /g)?.length, 1, JSON.stringify(headers));
  }
  assert.equal(r.seen.acted, 0);
});

Deno.test("no answer allows another site to read it", async () => {
  await using r = await webRig();
  const Cookie = await cookieOf(r);
  for (
    const sent of [{ headers: { Cookie } }, { method: "OPTIONS" }, { path: "/login" }, {
      path: "/static/app.css",
    }] as Sent[]
  ) {
    const answer = await raw(r, request(r, sent));
    assert.ok(!/access-control-/i.test(answer));
    assert.match(answer, /cross-origin-resource-policy: same-origin/i);
  }
});

Deno.test("whoever guesses is counted by the real address, whatever the headers say", async () => {
  await using r = await webRig();
  const answers: string[] = [];
  for (let i = 0; i < 7; i++) {
    answers.push(
      await status(r, {
        method: "POST",
        path: "/api/v1/session",
        headers: {
          "Origin": r.url,
          "Content-Type": "application/json",
          "X-Forwarded-For": `192.0.2.${i}`,
          "Forwarded": `for=192.0.2.${i}`,
        },
        body: JSON.stringify({ name: "ann", password: "wrong password" }),
      }),
    );
  }
  assert.deepEqual(answers, ["401", "401", "401", "401", "401", "429", "429"]);
});
