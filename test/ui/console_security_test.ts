/** What stands before every request stands before the upgrade of a console, too. */

import assert from "node:assert/strict";
import { FakeBackend } from "./fake_backend.ts";
import { fakeWeb } from "./fake_web.ts";

const PATH = "/api/v1/vms/press-1/console/serial";
const UPGRADE = {
  upgrade: "websocket",
  connection: "Upgrade",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
};

Deno.test("a console's upgrade from another site, a rebound name, or nobody is refused, and the VM is not asked", async () => {
  const backend = new FakeBackend();
  await using web = await fakeWeb({ backend });
  const { secret: token } = await web.access.tokens.create(
    { name: "grafana", role: "viewer", days: 1 },
    "test",
  );
  const own = { ...UPGRADE, origin: web.url, "sec-fetch-site": "same-origin" };
  const cases: [string, Record<string, string>, number, string][] = [
    ["another site", { ...own, origin: "https://evil.example" }, 403, "origin"],
    ["another port of this host", { ...own, origin: web.url.replace(/\d+$/, "1") }, 403, "origin"],
    ["the browser says that it is another site", { ...own, "sec-fetch-site": "cross-site" }, 403, "origin"],
    ["it does not say where it comes from", UPGRADE, 403, "origin"],
    ["a name that was bent to this address", { ...own, host: "evil.example" }, 421, "host"],
    ["nobody is signed in", { ...own, cookie: "stranger=1" }, 401, "unauthenticated"],
    [
      "a cookie of a session that is none",
      { ...own, cookie: `${web.cookie.name}=x` },
      401,
      "unauthenticated",
    ],
    ["a token that may only look", { ...UPGRADE, authorization: `Bearer ${token}` }, 403, "forbidden"],
    ["a token that is none", { ...UPGRADE, authorization: "Bearer x" }, 401, "unauthenticated"],
  ];
  for (const [what, headers, status, code] of cases) {
    const answer = await web.request(PATH, { headers });
    assert.equal(answer.status, status, what);
    assert.equal((await answer.json()).code, code, what);
  }
  assert.equal(backend.calls.some(({ method }) => method === "vm.openConsole"), false);
});

Deno.test("the page's own request passes all of that: only what was no upgrade is said to be none", async () => {
  await using web = await fakeWeb();
  const answer = await web.request(PATH, { headers: { origin: web.url, "sec-fetch-site": "same-origin" } });
  assert.equal(answer.status, 400);
  assert.match((await answer.json()).detail, /no upgrade/);
});
