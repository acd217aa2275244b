/** Pages with forms, as plain posts: what is wrong is said by field and nothing that was typed is lost; what is right reaches the node. */

import assert from "node:assert/strict";
import { ProblemError } from "../../lib/model/problem.ts";
import { FakeBackend } from "./fake_backend.ts";
import { type FakeWeb, fakeWeb } from "./fake_web.ts";

interface Stage extends AsyncDisposable {
  web: FakeWeb;
  backend: FakeBackend;
  post(
    path: string,
    fields: Record<string, string>,
  ): Promise<{ status: number; to: string | null; html: string }>;
  get(path: string): Promise<{ status: number; to: string | null; html: string }>;
}

async function stage(language = "en"): Promise<Stage> {
  const backend = new FakeBackend();
  const web = await fakeWeb({ backend });
  const ask = async (path: string, init: RequestInit = {}) => {
    const headers = {
      accept: "text/html",
      origin: web.url,
      "sec-fetch-site": "same-origin",
      cookie: `iservft_language=${language}`,
    };
    const answer = await web.request(path, { ...init, headers });
    return { status: answer.status, to: answer.headers.get("location"), html: await answer.text() };
  };
  return {
    web,
    backend,
    get: (path) => ask(path),
    post: (path, fields) => ask(path, { method: "POST", body: new URLSearchParams(fields) }),
    [Symbol.asyncDispose]: () => web[Symbol.asyncDispose](),
  };
}

/** The fields of a page's first form with this action, as a browser would send them. */
function fieldsOf(html: string, action: string): Record<string, string> {
  const form = html.split(`action="${action}"`)[1]?.split("</form>")[0] ?? "";
  const fields: Record<string, string> = {};
  for (const [tag] of form.matchAll(/<input[^>]*>/g)) {
    const attribute = (name: string) => new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1];
    const type = attribute("type");
    const name = attribute("name");
    if (name === undefined || ((type === "checkbox" || type === "radio") && !/\bchecked\b/.test(tag))) {
      continue;
    }
    fields[name] = attribute("value") ?? "";
  }
  for (const [, name, options] of form.matchAll(/<select[^>]*name="([^"]+)"[^>]*>([\s\S]*?)<\/select>/g)) {
    const chosen = /<option value="([^"]*)"[^>]*selected/.exec(options!) ??
      /<option value="([^"]*)"/.exec(options!);
    fields[name!] = chosen?.[1] ?? "";
  }
  return fields;
}

Deno.test("the wizard makes a VM with its defaults by plain posts, step by step", async () => {
  await using s = await stage();
  let fields: Record<string, string> = {
    ...fieldsOf((await s.get("/vms/new")).html, "/vms/new"),
    name: "press-9",
  };
  for (const step of ["disks", "network", "review"]) {
    const { status, html } = await s.post("/vms/new", { ...fields, go: "next" });
    assert.equal(status, 200, step);
    fields = { ...fieldsOf(html, "/vms/new"), name: "press-9" };
    assert.equal(fields.step, step);
  }
  const done = await s.post("/vms/new", { ...fields, go: "next" });
  assert.equal(done.status, 303);
  assert.match(done.to!, /^\/jobs\/job-/);
  const call = s.backend.calls.find(({ method }) => method === "vm.create")!;
  assert.deepEqual(call.args[0], {
    name: "press-9",
    memory_mib: 2048,
    vcpus: 1,
    disks: [{ kind: "new", size_mib: 20480 }],
    nics: [{ model: "virtio-net", bridge: "br0" }],
    screen: true,
    firmware: "bios",
    spec: {},
    start: true,
    protect: true,
  });
  assert.equal(call.actor, "user:ann");
  assert.match((await s.get(done.to!)).html, /Creating press-9/);
});

Deno.test("an import without a format goes no further, and says so in the reader's language", async () => {
  await using s = await stage("zh-TW");
  const first = fieldsOf((await s.get("/vms/import")).html, "/vms/import");
  const disks = { ...first, name: "old-hmi", step: "disks", "disk.0.path": "old.vmdk", go: "next" };
  const { status, html } = await s.post("/vms/import", disks);
  assert.equal(status, 400);
  const again = fieldsOf(html, "/vms/import");
  assert.equal(again["disk.0.path"], "old.vmdk");
  assert.match(html, /必須是以 \/ 開頭的完整路徑。/);
  assert.match(html, /請選擇其中一項。/);
  const right = { ...disks, "disk.0.path": "/srv/old.vmdk", "disk.0.format": "vmdk", step: "review" };
  assert.equal((await s.post("/vms/import", right)).status, 303);
  const sent = s.backend.calls.find(({ method }) => method === "vm.create")!.args[0] as { disks: unknown[] };
  assert.deepEqual(sent.disks, [{ kind: "import", path: "/srv/old.vmdk", format: "vmdk" }]);
});

Deno.test("a disk that is removed takes its own fields with it, and no others", async () => {
  await using s = await stage();
  const first = { ...fieldsOf((await s.get("/vms/new")).html, "/vms/new"), name: "x1", step: "disks" };
  const two = fieldsOf((await s.post("/vms/new", { ...first, go: "add.disk" })).html, "/vms/new");
  assert.equal(two.disks, "2");
  const one = await s.post("/vms/new", { ...two, "disk.1.size_gib": "77", go: "remove.disk.0" });
  const left = fieldsOf(one.html, "/vms/new");
  assert.equal(left.disks, "1");
  assert.equal(left["disk.0.size_gib"], "77");
  assert.equal(left["disk.1.size_gib"], undefined);
});

Deno.test("a name that is taken, no memory and text for numbers are all said at once, and what was typed stays", async () => {
  await using s = await stage();
  const first = fieldsOf((await s.get("/vms/new")).html, "/vms/new");
  const sent = { ...first, name: "press-1", memory_mib: "1", vcpus: "many", go: "next" };
  const { status, html } = await s.post("/vms/new", sent);
  assert.equal(status, 400);
  assert.match(html, /There is a VM of this name already/);
  assert.match(html, /It must be at least 64/);
  assert.match(html, /It must be a whole number/);
  assert.equal(fieldsOf(html, "/vms/new").vcpus, "many");
  assert.equal(s.backend.calls.some(({ method }) => method === "vm.create"), false);
});

Deno.test("what the node refuses is shown at the step of its field, with all that was typed", async () => {
  await using s = await stage();
  s.backend.failures.set(
    "vm.create",
    new ProblemError("invalid", {
      detail: "/srv/x.img is not there",
      hint: "Copy it.",
      fields: [{ key: "disks[0].path", problem: "it is not there" }],
    }),
  );
  const first = fieldsOf((await s.get("/vms/new")).html, "/vms/new");
  const { html } = await s.post("/vms/new", { ...first, name: "x1", step: "review", go: "next" });
  const fields = fieldsOf(html, "/vms/new");
  assert.equal(fields.step, "disks");
  assert.equal(fields.name, "x1");
  assert.match(html, /it is not there/);
});

Deno.test("pairing goes from code to digits to paired, each by a plain post", async () => {
  await using s = await stage();
  s.backend.unpaired();
  assert.match((await s.get("/pair")).html, /This is the second node/);
  assert.equal((await s.post("/pair/invite", {})).to, "/pair");
  assert.match((await s.get("/pair")).html, /<p class="big-code">K7QD-M3XR</);
  s.backend.push({
    pair: {
      ...s.backend.state.pair,
      pairing: {
        step: "comparing",
        digits: "482913",
        peer_name: "press-b",
        peer_id: "M2RB",
        confirmed: false,
        expires: new Date(s.backend.nowMs() + 60_000).toISOString(),
      },
    },
  });
  const compare = (await s.get("/pair")).html;
  assert.match(compare, /Are these the same on both screens\?/);
  assert.match(compare, /Six digits: 4 8 2 9 1 3</);
  assert.equal((await s.post("/pair/confirm", {})).status, 303);
  assert.match((await s.get("/pair")).html, /<h2[^>]*>Paired</);
  const methods = s.backend.calls.map(({ method }) => method).filter((method) =>
    /invite|confirm/.test(method)
  );
  assert.deepEqual(methods, ["pair.invite", "pair.confirm"]);
});

Deno.test("the code of the other node is asked for, and a failure keeps the address", async () => {
  await using s = await stage();
  s.backend.unpaired();
  const empty = await s.post("/pair/join", { address: "10.0.0.1", code: "" });
  assert.equal(empty.status, 400);
  assert.match(empty.html, /value="10\.0\.0\.1"/);
  s.backend.failures.set(
    "pair.join",
    new ProblemError("refused", { detail: "wrong code", hint: "Show a new one." }),
  );
  const failed = await s.post("/pair/join", { address: "10.0.0.1", code: "AAAA" });
  assert.equal(failed.status, 409);
  assert.match(failed.html, /wrong code/);
  assert.match(failed.html, /value="10\.0\.0\.1"/);
});

Deno.test("lines are set as they are proposed; an address that is none is said at its field", async () => {
  await using s = await stage();
  const fields = fieldsOf((await s.get("/pair")).html, "/pair/links#links");
  const wrong = await s.post("/pair/links", { ...fields, "link_a.peer": "10.77.1" });
  assert.equal(wrong.status, 400);
  assert.match(wrong.html, /It must be an IPv4 address/);
  assert.equal((await s.post("/pair/links", fields)).status, 303);
  const call = s.backend.calls.find(({ method }) => method === "pair.configure")!;
  assert.deepEqual(call.args[0], s.backend.state.pair.settings);
});

Deno.test("without a gateway the choice LAN is not taken", async () => {
  await using s = await stage();
  const fields = fieldsOf((await s.get("/pair")).html, "/pair/links#links");
  const answer = await s.post("/pair/links", { ...fields, arbiter: "lan", "lan.reference": "" });
  assert.equal(answer.status, 400);
  assert.match(answer.html, /needs it/);
});

Deno.test("a channel keeps its secret when the field is left empty, and a new one is never shown again", async () => {
  await using s = await stage();
  const page = await s.get("/settings/alerts/edit?name=maintenance");
  assert.doesNotMatch(page.html, /value="set"/);
  const fields = {
    ...fieldsOf(page.html, "/settings/alerts/channel"),
    to: "a@plant.example\nb@plant.example",
  };
  assert.equal((await s.post("/settings/alerts/channel", { ...fields, password: "" })).status, 303);
  const [kept] = s.backend.alertSettings.channels;
  assert.equal(kept?.kind === "email" && kept.password, "set");
  assert.deepEqual(kept?.kind === "email" && kept.to, ["a@plant.example", "b@plant.example"]);
  await s.post("/settings/alerts/channel", { ...fields, password: "hunter22" });
  assert.doesNotMatch((await s.get("/settings/alerts")).html, /hunter22/);
  assert.doesNotMatch((await s.get("/settings/alerts/edit?name=maintenance")).html, /hunter22/);
});

Deno.test("a test alert shows what the server said, good or bad", async () => {
  await using s = await stage();
  assert.match((await s.post("/settings/alerts/test", { channel: "maintenance" })).html, /250 accepted/);
  s.backend.failures.set("alerts.test", new ProblemError("failed", { detail: "no route to host", hint: "" }));
  const bad = await s.post("/settings/alerts/test", { channel: "maintenance" });
  assert.match(bad.html, /Not accepted[\s\S]*no route to host/);
});

Deno.test("a token is shown once, an account is made, and a password is never sent back", async () => {
  await using s = await stage();
  const made = await s.post("/settings/tokens/new", { name: "grafana", role: "viewer", days: "90" });
  const secret = /token-secret[^>]*>([^<]+)</.exec(made.html)?.[1] ?? "";
  assert.equal(s.web.access.tokens.find(secret)?.role, "viewer");
  assert.equal((await s.get("/settings/users")).html.includes(secret), false);
  const short = await s.post("/settings/users/new", { name: "chen", password: "short12", role: "operator" });
  assert.equal(short.status, 400);
  assert.match(short.html, /at least 10 characters/);
  assert.equal(short.html.includes("short12"), false);
  const right = { name: "chen", password: "correct horse battery", role: "operator" };
  assert.equal((await s.post("/settings/users/new", right)).to, "/settings/users");
  assert.equal(s.web.access.users.get("chen")?.role, "operator");
});

Deno.test("what cannot be undone asks for the password again, on the way in and on the way out", async () => {
  await using s = await stage();
  const begun = s.backend.nowMs();
  s.backend.nowMs = () => begun + 10 * 60_000;
  for (const path of ["/pair/remove", "/settings/users/new", "/settings/users/ann", "/settings/tokens/new"]) {
    const page = await s.get(path);
    assert.equal(page.status, 303, path);
    assert.equal(page.to, `/reauthenticate?next=${encodeURIComponent(path)}`);
  }
  for (
    const path of ["/pair/remove", "/pair/replace", "/settings/users/ann/remove", "/settings/tokens/x/remove"]
  ) {
    assert.match((await s.post(path, {})).to ?? "", /^\/reauthenticate/);
  }
  assert.equal(s.backend.calls.some(({ method }) => method === "pair.remove"), false);
});

Deno.test("replacing the other node asks for the word that it is off for good, and is not unpairing", async () => {
  await using s = await stage();
  const page = await s.get("/pair/remove?replace=1");
  assert.match(page.html, /press-b is off for good: replace it/);
  assert.match(page.html, /action="\/pair\/replace"/);
  assert.doesNotMatch(page.html, /action="\/pair\/remove"/);
  assert.equal((await s.post("/pair/replace", {})).to, "/pair");
  const said = s.backend.calls.map(({ method }) => method).filter((method) => /^pair\.re/.test(method));
  assert.deepEqual(said, ["pair.replace"]);
});

Deno.test("events are filtered by what is asked, exported the same way, and their text is text", async () => {
  await using s = await stage();
  s.backend.pushEvent({
    subject: "vm",
    name: "press-1",
    severity: "critical",
    code: "vm.alarm",
    params: { text: "<script>alert(1)</script>" },
    actor: null,
  });
  const { html } = await s.get("/events?severity=critical&subject=vm&name=press-1&since=2020-01-01T00:00");
  assert.match(html, /&lt;script&gt;alert\(1\)&lt;\/script&gt;/);
  assert.doesNotMatch(html, /<script>alert/);
  assert.match(
    html,
    /\/api\/v1\/events\/export\?format=csv&amp;severity=critical&amp;subject=vm&amp;name=press-1/,
  );
  assert.doesNotMatch(html, /data-event="1"/);
  assert.equal((await s.get("/events?before=rubbish")).status, 200);
});

Deno.test("somebody who may only look is shown no form, and may send none", async () => {
  await using s = await stage();
  await s.web.access.users.create({
    name: "vic",
    password: "correct horse battery",
    role: "viewer",
    language: null,
  }, "t");
  const { secret } = await s.web.access.sessions.begin(
    { name: "vic", password: "correct horse battery", code: "" },
    { address: "127.0.0.1", agent: "test" },
  );
  const as = (path: string, init: RequestInit = {}) =>
    s.web.request(path, {
      ...init,
      headers: {
        accept: "text/html",
        origin: s.web.url,
        "sec-fetch-site": "same-origin",
        cookie: `${s.web.cookie.name}=${secret}`,
      },
    });
  const paths = [
    "/vms/new",
    "/settings/alerts",
    "/settings/users",
    "/settings/doctor",
    "/vms/press-1/console/serial",
  ];
  for (const path of paths) assert.equal((await as(path)).status, 403, path);
  const pair = await (await as("/pair")).text();
  assert.doesNotMatch(pair, /action="\/pair/);
  for (
    const path of ["/vms/new", "/pair/invite", "/pair/links", "/settings/alerts", "/settings/support-bundle"]
  ) {
    assert.equal((await as(path, { method: "POST", body: new URLSearchParams() })).status, 403, path);
  }
  assert.equal(s.backend.calls.some(({ actor }) => actor === "user:vic"), false);
});

Deno.test("a VM's settings: only what was changed is sent, as keys of its file; nothing that was typed is lost", async () => {
  await using s = await stage();
  const path = "/vms/press-1/settings";
  const fields = fieldsOf((await s.get(path)).html, path);
  const updates = () =>
    s.backend.calls.filter(({ method }) => method === "vm.update").map(({ args }) => args);
  assert.equal((await s.post(path, fields)).status, 303);
  assert.deepEqual(updates(), [], "nothing was changed");
  const changed = {
    ...fields,
    ...{ memory: "8192", cpu: "EPYC", "nic.0.model": "e1000e", "nic.0.bridge": "" },
    ...{ order: "longer", max_added_ms: "900", stop_s: "120" },
  };
  delete (changed as Record<string, string>).vga;
  assert.equal((await s.post(path, changed)).to, "/vms/press-1");
  assert.deepEqual(updates(), [["press-1", {
    revision: 3,
    spec: {
      ...{ memory: 8192, cpu: "EPYC", vga: false, stop_s: 120 },
      degradation: { order: ["longer"], max_added_ms: 900, throttle_max_percent: 80 },
      nic: [{ mac: "52:54:00:6a:10:01", model: "e1000e" }],
    },
  }]]);
  const now = fieldsOf((await s.get(path)).html, path);
  assert.deepEqual(
    [now.memory, now.cpu, now.vga, now["nic.0.bridge"], now["nic.0.model"], now.order, now.stop_s],
    ["8192", "EPYC", undefined, "", "e1000e", "longer", "120"],
  );
  const conflict = await s.post(path, { ...changed, memory: "2048" });
  assert.equal(conflict.status, 409);
  assert.match(conflict.html, /It was changed meanwhile/);
  assert.equal(fieldsOf(conflict.html, path).memory, "2048");
});

Deno.test("a VM's settings: what is wrong is said at its field, in the reader's language; when it takes effect is said", async () => {
  await using s = await stage("zh-TW");
  const path = "/vms/press-1/settings";
  const { html } = await s.get(path);
  assert.match(html, /此處的變更全部在下次啟動時生效/);
  assert.match((await s.get("/vms/spare-hmi/settings")).html, /spare-hmi 已停止/);
  const wrong = { ...fieldsOf(html, path), memory: "1", vcpus: "9", cpu: "a b", "nic.0.bridge": "br 0" };
  const answer = await s.post(path, wrong);
  assert.equal(answer.status, 400);
  for (const field of ["memory", "vcpus", "cpu", "nic.0.bridge"]) {
    assert.ok(answer.html.includes(`id="e-${field}"`), field);
  }
  assert.equal(fieldsOf(answer.html, path).cpu, "a b");
  const refused = await s.post(path, { ...fieldsOf(html, path), cpu: "host" });
  assert.equal(refused.status, 409);
  assert.match(refused.html, /id="e-cpu"/, "what the node itself says of a key");
  assert.equal(s.backend.calls.filter(({ method }) => method === "vm.update").length, 1);
});
