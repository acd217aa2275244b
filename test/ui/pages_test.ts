import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";
import { ProblemError } from "../../lib/model/problem.ts";
import { type FakeWeb, fakeWeb } from "./fake_web.ts";
import { PAGES } from "./page_list.ts";

const HTML = { accept: "text/html" };
const BUDGET = 150 * 1024;
const CSS_BUDGET = 25 * 1024;

async function text(web: FakeWeb, path: string, headers: HeadersInit = HTML): Promise<string> {
  return await (await web.request(path, { headers })).text();
}

/** A form that a browser without scripts sends from our own page. */
function post(web: FakeWeb, path: string, fields: Record<string, string> = {}, headers: HeadersInit = HTML) {
  return web.request(path, {
    method: "POST",
    body: new URLSearchParams(fields),
    headers: { ...headers, origin: web.url, "sec-fetch-site": "same-origin" },
  });
}

/** Files that a page loads by itself. */
function filesOf(html: string): string[] {
  return [...html.matchAll(/<(?:link[^>]*href|script[^>]*src)="([^"]+)"/g)].map((match) => match[1]!);
}

Deno.test("the first view has at most 150 KB as it is sent, and no page loads a console or graph that it does not show", async () => {
  await using web = await fakeWeb();
  const html = await text(web, "/");
  let bytes = new TextEncoder().encode(html).length;
  for (const file of filesOf(html)) {
    const answer = await web.request(file, { headers: { "accept-encoding": "gzip, br" } });
    assert.equal(answer.status, 200, file);
    assert.match(answer.headers.get("cache-control") ?? "", /immutable/, file);
    assert.match(file, /\.[0-9a-f]{12}\.(js|css|svg)$/);
    bytes += (await answer.arrayBuffer()).byteLength;
  }
  assert.ok(bytes <= BUDGET, `${bytes} bytes`);
  assert.ok(!filesOf(html).some((file) => /chart|console|terminal/.test(file)), "only what home needs");
  assert.ok(filesOf(await text(web, "/vms/press-1")).some((file) => file.includes("chart")));
});

Deno.test("the style sheet has at most 25 KB, and a file is the same compressed and plain", async () => {
  await using web = await fakeWeb();
  for (const file of filesOf(await text(web, "/"))) {
    const plain = new Uint8Array(await (await web.request(file)).arrayBuffer());
    const packed = await web.request(file, { headers: { "accept-encoding": "gzip" } });
    assert.equal(packed.headers.get("content-encoding"), "gzip", file);
    assert.deepEqual(new Uint8Array(gunzipSync(await packed.arrayBuffer())), plain, file);
    if (file.endsWith(".css")) assert.ok(plain.length <= CSS_BUDGET, `${file}: ${plain.length} bytes`);
  }
});

Deno.test("no page and no file loads anything from elsewhere", async () => {
  await using web = await fakeWeb();
  const files = new Set<string>();
  for (const { name, path, stranger, before } of PAGES) {
    web.backend.reset();
    before?.(web.backend);
    const html = await text(web, path, stranger === true ? { ...HTML, cookie: "stranger=1" } : HTML);
    for (const file of filesOf(html)) files.add(file);
    for (
      const [, address] of html.matchAll(
        /\b(?:src|href|action|srcset|poster|data)="((?:https?:)?\/\/[^"]*)"/g,
      )
    ) {
      // Links that a person follows to the other node, which the node itself gave.
      assert.ok(
        web.backend.state.nodes.some(({ url }) => url !== null && address!.startsWith(url)),
        `${name}: ${address}`,
      );
    }
    assert.doesNotMatch(
      html,
      /<style|style="|<script(?![^>]*src=)|\son[a-z]+="/,
      `${name}: inline code or style`,
    );
  }
  for (const file of files) {
    assert.match(file, /^\/static\//);
    if (file.endsWith(".css")) {
      assert.doesNotMatch(await text(web, file), /@import|url\((?!["']?data:)/, file);
    }
  }
});

Deno.test("without scripts an action is a page that says what will happen, and a form that does it", async () => {
  await using web = await fakeWeb();
  const page = await text(web, "/vms/press-1/do/switchover");
  assert.match(page, /The VM moves to press-b while it runs/);
  assert.equal(web.backend.calls.some(({ method }) => method === "vm.switchover"), false);
  const done = await post(web, "/vms/press-1/do/switchover");
  assert.equal(done.status, 200);
  assert.match(await done.text(), /The VM stood still for 41 ms/);
  assert.deepEqual(
    web.backend.calls.filter(({ method }) => method === "vm.switchover").map(({ actor }) => actor),
    [
      "user:ann",
    ],
  );
});

Deno.test("with scripts the same form answers in JSON, and a refusal says why and what to do", async () => {
  await using web = await fakeWeb();
  const json = { accept: "application/json" };
  const done = await post(web, "/vms/press-1/do/verify", {}, json);
  assert.deepEqual(await done.json(), { detail: "Compare copy: done.", go: null });
  const hint = "Wait until the copy is complete.";
  web.backend.failures.set(
    "vm.act",
    new ProblemError("refused", { detail: "historian is being copied", hint }),
  );
  const refused = await post(web, "/vms/historian/do/stop", {}, json);
  assert.equal(refused.status, 409);
  const problem = await refused.json();
  assert.deepEqual([problem.code, problem.hint], ["refused", hint]);
});

Deno.test("a form from another page does nothing", async () => {
  await using web = await fakeWeb();
  const answer = await web.request("/vms/press-1/do/stop", {
    method: "POST",
    headers: { origin: "https://elsewhere.example" },
  });
  assert.equal(answer.status, 403);
  assert.deepEqual(web.backend.calls.filter(({ method }) => method === "vm.act"), []);
});

Deno.test("deleting keeps the disks unless they are given up, and wants a fresh password", async () => {
  await using web = await fakeWeb();
  web.backend.clock_ms += 600_000;
  const stale = await post(web, "/vms/spare-hmi/do/delete", { disks: "yes" }, { accept: "application/json" });
  assert.equal((await stale.json()).code, "reauthenticate");
  web.backend.clock_ms -= 600_000;
  assert.equal((await post(web, "/vms/spare-hmi/do/delete")).status, 200);
  const removed = web.backend.calls.filter(({ method }) => method === "vm.remove");
  assert.deepEqual(removed.map(({ args }) => args), [["spare-hmi", { disks: false }]]);
});

Deno.test("when the other node is not heard, home and the VM's page say that what is shown of it is old", async () => {
  await using web = await fakeWeb();
  const old = /What is shown of press-b is what was last known/;
  assert.doesNotMatch(await text(web, "/"), old);
  web.backend.losePeer();
  assert.match(await text(web, "/"), old);
  assert.match(await text(web, "/vms/press-1"), old);
});

Deno.test("a node that the other one refuses says so on its home page; settings that wait for a start are said", async () => {
  await using web = await fakeWeb();
  const problem = {
    code: "forbidden",
    detail: "press-b is not paired with this node",
    hint: "Pair them again.",
  };
  web.backend.push({ pair: { ...web.backend.state.pair, problem } });
  assert.match(await text(web, "/"), /press-b is not paired with this node[\s\S]*Pair them again/);
  assert.doesNotMatch(await text(web, "/vms/press-1"), /take effect when the VM is started next/);
  web.backend.pushVm("press-1", { pending: true });
  assert.match(await text(web, "/vms/press-1"), /take effect when the VM is started next/);
});

Deno.test("names and texts from outside are text, never markup", async () => {
  await using web = await fakeWeb();
  const evil = '<img src=x onerror="alert(1)">';
  const [first] = web.backend.state.vms;
  web.backend.push({ vms: [{ ...first!, detail: evil, disks: [{ path: evil, bytes: 1 }] }] });
  web.backend.pushEvent({
    severity: "info",
    subject: "vm",
    name: "press-1",
    code: "vm.alarm",
    params: { text: evil },
    actor: evil,
  });
  const page = await text(web, "/vms/press-1");
  assert.ok(!page.includes("<img"));
  assert.ok(page.includes("&lt;img"));
});

Deno.test("a language that was chosen stays, and leads back only to this node", async () => {
  await using web = await fakeWeb();
  const answer = await post(web, "/preferences", {
    language: "zh-TW",
    theme: "dark",
    back: "//elsewhere.example/",
  });
  assert.equal(answer.status, 303);
  assert.equal(answer.headers.get("location"), "/");
  const cookie = answer.headers.getSetCookie().map((one) => one.split(";")[0]).join("; ");
  assert.match(await text(web, "/", { ...HTML, cookie }), /<html lang="zh-Hant-TW" data-theme="dark"/);
  const refused = await post(web, "/preferences", { language: "xx", theme: "'\">" });
  assert.deepEqual(refused.headers.getSetCookie(), []);
});

Deno.test("a viewer sees all and is offered nothing that acts", async () => {
  await using web = await fakeWeb();
  const viewer = { name: "guest", password: "a long enough secret", role: "viewer", language: null } as const;
  await web.access.users.create(viewer, "user:ann");
  const { name, password } = viewer;
  const caller = { address: "127.0.0.1", agent: "test" };
  const { secret } = await web.access.sessions.begin({ name, password, code: "" }, caller);
  const headers = { ...HTML, cookie: `__Host-iservft=${secret}` };
  for (const path of ["/", "/vms/press-1"]) {
    assert.doesNotMatch(await text(web, path, headers), /\/do\//, path);
  }
  assert.equal((await web.request("/vms/press-1/do/stop", { headers })).status, 403);
  assert.equal((await post(web, "/vms/press-1/do/stop", {}, headers)).status, 403);
});

Deno.test("the one-time code of pairing is on an administrator's page, and on nobody else's", async () => {
  await using web = await fakeWeb();
  await web.backend.pair.invite("user:ann");
  const { pairing } = web.backend.snapshot().pair;
  const code = pairing.step === "inviting" ? pairing.code : "";
  assert.ok(code.length > 5);
  assert.ok((await text(web, "/pair")).includes(code));
  for (const role of ["viewer", "operator"] as const) {
    const { secret } = await web.access.tokens.create({ name: role, role, days: null }, "local");
    for (const path of ["/pair", "/", "/settings"]) {
      const shown = await text(web, path, { ...HTML, authorization: `Bearer ${secret}` });
      assert.match(shown, /<h1/);
      assert.ok(!shown.includes(code), `${path} as ${role}`);
    }
  }
});
