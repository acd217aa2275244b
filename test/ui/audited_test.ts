import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { Hono } from "hono";
import type { Access, AuditEntry } from "../../lib/access/types.ts";
import { ProblemError } from "../../lib/model/problem.ts";
import { vmCreate } from "../../lib/model/vm.ts";
import { apiRoutes } from "../../ui/api/app.ts";
import { createApp } from "../../ui/app.ts";
import { auditedBackend } from "../../ui/audited.ts";
import type { Env, Peer } from "../../ui/deps.ts";
import { pageRoutes } from "../../ui/pages/routes.tsx";
import { SESSION_COOKIE } from "../../ui/security/cookie.ts";
import { rig as accountRig, signIn, user } from "../access/kit.ts";
import { FakeBackend } from "./fake_backend.ts";

type Entry = Pick<AuditEntry, "actor" | "action" | "subject"> & { detail?: string };

function rig() {
  const entries: Entry[] = [];
  const backend = new FakeBackend();
  const log = { append: (entry: Entry) => (entries.push(entry), Promise.resolve()) };
  return { entries, backend, log, audited: auditedBackend(backend, log) };
}

Deno.test("every command that names who asks is in the audit log, with what and by whom", async () => {
  const { entries, backend, audited } = rig();
  const settings = backend.state.pair.settings!;
  await audited.vm.create(
    vmCreate.parse({ name: "n", memory_mib: 64, disks: [{ kind: "existing", path: "/dev/x" }] }),
    "user:ann",
  );
  await audited.vm.act("press-1", "verify", "user:ann");
  await audited.vm.switchover("press-1", "user:ann");
  await audited.vm.update(
    "press-1",
    { revision: backend.state.vms[0]!.revision, spec: { vcpus: 2 } },
    "user:ann",
  );
  backend.state.vms[0]!.actions.delete = { ok: true, why: "" };
  await audited.vm.remove(backend.state.vms[0]!.name, { disks: true }, "user:ann");
  await (await audited.vm.openConsole("historian", "serial", "user:ann"))[Symbol.asyncDispose]();
  await audited.pair.invite("user:ann");
  await audited.pair.join({ address: "10.0.0.2", code: "SECRET-CODE" }, "user:ann");
  await audited.pair.confirm("user:ann");
  await audited.pair.cancel("user:ann");
  await audited.pair.configure(settings, "user:ann");
  await audited.pair.remove("user:ann");
  await audited.pair.replace("user:ann");
  await audited.pair.rotate("user:ann");
  await audited.jobs.cancel(backend.state.jobs[0]!.id, "user:ann");
  await audited.alerts.configure(
    {
      ...backend.alertSettings,
      channels: [{ kind: "webhook", name: "w", enabled: true, url: "https://x", secret: "SECRET" }],
    },
    "user:ann",
  );
  await audited.alerts.test("w", "user:ann");
  await (await audited.supportBundle("user:ann")).cancel();
  deepEqual(entries.map(({ action }) => action), [
    "vm.create",
    "vm.verify",
    "vm.switchover",
    "vm.change",
    "vm.delete",
    "vm.console",
    "pair.invite",
    "pair.join",
    "pair.confirm",
    "pair.cancel",
    "pair.configure",
    "pair.remove",
    "pair.replace",
    "pair.rotate",
    "job.cancel",
    "alert.configure",
    "alert.test",
    "support-bundle",
  ]);
  ok(entries.every(({ actor }) => actor === "user:ann"));
  equal(entries[4]?.detail, "with its disks");
  equal(JSON.stringify(entries).includes("SECRET"), false, "no secrets");
  // All that the backend was told with a name is there.
  equal(backend.calls.filter(({ actor }) => actor !== null).length + 1, entries.length, "and the console");
});

Deno.test("a command that fails is in the audit log with why", async () => {
  const { entries, backend, audited } = rig();
  backend.failures.set("vm.act", new ProblemError("refused", { detail: "not now", hint: "Wait." }));
  await rejects(audited.vm.act("press-1", "promote", "local"), /not now/);
  deepEqual(entries.map(({ action, detail }) => [action, detail]), [
    ["vm.promote", undefined],
    ["vm.promote.failed", "refused: not now"],
  ]);
});

Deno.test("a command that cannot be written down is not done", async () => {
  const { backend } = rig();
  const audited = auditedBackend(backend, { append: () => Promise.reject(new Error("the disk is full")) });
  await rejects(audited.vm.act("press-1", "stop", "local"), /disk is full/);
  deepEqual(backend.calls, []);
});

/** The whole app over real accounts, as `serve` puts it together. */
async function wholeApp(access: Access) {
  const { secret } = await signIn(access, "ann");
  const backend = new FakeBackend();
  const deps = {
    backend: auditedBackend(backend, access.audit),
    access,
    version: "1",
    nowMs: () => backend.nowMs(),
    ownNames: () => ["node-a"],
  };
  const pages = new Hono<Env>().route("/", pageRoutes(deps));
  const app = createApp({ ...deps, api: apiRoutes(deps), pages, statics: new Hono<Env>() });
  const [origin, cookie] = ["https://node-a:8443", `${SESSION_COOKIE}=${secret}`];
  const headers = { host: "node-a:8443", origin, cookie, "sec-fetch-site": "same-origin" };
  return (path: string, peer: Peer) =>
    app.fetch(new Request(`${origin}${path}`, { method: "POST", headers, body: new URLSearchParams() }), {
      peer,
    });
}

Deno.test("a command is in the audit log with where it was asked: by the page, by the API, on the machine itself", async () => {
  await using accounts = await accountRig();
  const { access } = accounts;
  await user(access, "ann", "administrator");
  const ask = await wholeApp(access);
  const tcp = { kind: "tcp", address: "192.0.2.44" } as const;
  equal((await ask("/vms/press-1/do/verify", tcp)).status, 200);
  const before = "/api/v1/vms/press-1/actions/verify";
  equal((await ask(before, { kind: "tcp", address: "2001:db8::7" })).status, 200);
  equal((await ask(before, { kind: "unix" })).status, 200);
  const entries = (await access.audit.query({ limit: 3 })).toReversed();
  deepEqual(entries.map(({ actor, action, address }) => [actor, action, address]), [
    ["user:ann", "vm.verify", "192.0.2.44"],
    ["user:ann", "vm.verify", "2001:db8::7"],
    ["local", "vm.verify", "local"],
  ]);
});
