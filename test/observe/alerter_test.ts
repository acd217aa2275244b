import assert from "node:assert/strict";
import type { AlertSettings } from "../../lib/model/alerts.ts";
import type { Snapshot } from "../../lib/model/backend.ts";
import type { EventView, NewEvent } from "../../lib/model/event.ts";
import { ProblemError } from "../../lib/model/problem.ts";
import { Alerter } from "../../lib/observe/alerts/alerter.ts";
import type { AlertMessage } from "../../lib/observe/alerts/message.ts";
import type { AlertExtras, Observation } from "../../lib/observe/contracts.ts";
import { fakeSnapshot } from "../ui/fake_data.ts";
import { deadPort, email, Inbox, settings, syslog, webhook } from "./alert_kit.ts";
import { Place } from "./kit.ts";

const EXTRAS: AlertExtras = { peer_telling: null, checks: [], audit: null };

/** An alerter with a clock that the test moves, events in a list, and a receiver on loopback. */
class Bed implements AsyncDisposable {
  readonly place = new Place();
  readonly events: NewEvent[] = [];
  readonly inbox = new Inbox<AlertMessage>();
  status = 200;
  problem: string | null = null;
  now = 1_000_000;
  alerter: Alerter;
  readonly #listeners = new Set<(seen: Observation) => void>();
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor() {
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
      this.inbox.put(await request.json());
      return new Response(null, { status: this.status });
    });
    this.alerter = this.start();
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/T0K3N`;
  }

  start(): Alerter {
    return new Alerter({
      directory: this.place.path,
      node: "press-a",
      steadyMs: () => this.now,
      retry_ms: [1, 1],
      observer: {
        event: (event) => this.happens(event),
        subscribe: (listener) => {
          this.#listeners.add(listener);
          return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
        },
        state: () => ({ events_kept: 0, events_lost: 0, samples_lost: 0, problem: this.problem }),
      },
    });
  }

  happens(event: NewEvent, node = "press-a"): void {
    this.events.push(event);
    const view = { ...event, id: this.events.length, at: "now", node, text: event.text ?? event.code };
    for (const listener of [...this.#listeners]) listener({ kind: "event", event: view as EventView });
  }

  /** So many seconds pass, with this on the screen. */
  seconds(number: number, change: (snapshot: Snapshot) => void = () => {}): void {
    const snapshot = fakeSnapshot();
    snapshot.vms = snapshot.vms.slice(0, 1);
    change(snapshot);
    for (let i = 0; i < number; i++) {
      this.now += 1000;
      this.alerter.evaluate(snapshot, EXTRAS);
    }
  }

  codes(): string[] {
    return this.events.map(({ code }) => code);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.alerter[Symbol.asyncDispose]();
    await this.#server.shutdown();
    this.place[Symbol.dispose]();
  }
}

const failed = ({ vms }: Snapshot) => vms[0]!.state = "failed";

Deno.test("a VM that fails is told once, is active meanwhile, and its end is told", async () => {
  await using bed = new Bed();
  await bed.alerter.configure(settings([webhook(bed.url)]));
  bed.seconds(4, failed);
  assert.deepEqual(bed.alerter.active(), []);
  bed.seconds(60, failed);
  assert.deepEqual(bed.alerter.active().map(({ key, severity, text }) => [key, severity, text]), [
    ["vm/press-1/failed", "critical", "VM press-1 should run, and does not."],
  ]);
  assert.deepEqual(bed.alerter.telling(), ["vm/press-1/failed"]);
  bed.seconds(60);
  const told = await bed.inbox.until(2);
  assert.deepEqual(told.map(({ kind, key, node }) => [kind, key, node]), [
    ["raised", "vm/press-1/failed", "press-a"],
    ["cleared", "vm/press-1/failed", "press-a"],
  ]);
  assert.deepEqual(bed.alerter.active(), []);
  assert.deepEqual(bed.codes(), ["alert.raised", "alert.cleared"]);
  assert.deepEqual(bed.events[0]!.params, {
    ...{
      vm: "press-1",
      node: "press-a",
      alert: "alert.vm_failed",
      text: "VM press-1 should run, and does not.",
    },
  });
});

Deno.test("a dead channel is said once, is tried again, and delays no other; nothing goes round in circles", async () => {
  await using bed = new Bed();
  await bed.alerter.configure(
    settings([email({ port: deadPort(), security: "none" }), webhook(bed.url)]),
  );
  bed.seconds(10, failed);
  await bed.inbox.until(1);
  const failure = () => bed.events.filter(({ code }) => code === "alert.failed");
  while (failure().length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  bed.seconds(60);
  await bed.inbox.until(2);
  while (bed.alerter.counts()[0]!.waiting > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(bed.alerter.counts(), [
    { channel: "mail", kind: "email", sent: 0, failed: 2, waiting: 0 },
    { channel: "hook", kind: "webhook", sent: 2, failed: 0, waiting: 0 },
  ]);
  // One at the first failure, one for each message that was given up.
  assert.equal(failure().length, 3);
  assert.match(String(failure()[0]!.params.why), /refused/i);
  assert.equal(bed.inbox.all.length, 2);
});

Deno.test("a receiver that is back gets what waited, the same message, once it takes it", async () => {
  await using bed = new Bed();
  await bed.alerter.configure(settings([webhook(bed.url)]));
  bed.status = 503;
  bed.seconds(10, failed);
  await bed.inbox.until(1);
  bed.status = 200;
  const tried = await bed.inbox.until(2);
  assert.equal(tried[0]!.id, tried[1]!.id);
  assert.deepEqual(bed.codes(), ["alert.raised", "alert.failed"]);
  assert.doesNotMatch(
    JSON.stringify(bed.events),
    /T0K3N/,
    "what a webhook's URL has in it is nobody's to read",
  );
});

Deno.test("the test button says how it really went, by that channel alone", async () => {
  await using bed = new Bed();
  await bed.alerter.configure(settings([
    webhook(bed.url),
    syslog(deadPort(), { protocol: "tcp" }),
    webhook(bed.url, { name: "off", enabled: false }),
  ]));
  assert.deepEqual(await bed.alerter.test("hook"), {
    ok: true,
    detail: "the receiver answered with status 200",
  });
  assert.deepEqual(bed.inbox.all.map(({ kind }) => kind), ["test"]);
  bed.status = 401;
  assert.deepEqual(await bed.alerter.test("hook"), {
    ok: false,
    detail: "the receiver answered with status 401",
  });
  assert.equal((await bed.alerter.test("log")).ok, false);
  assert.equal(
    (await bed.alerter.test("off")).ok,
    false,
    "one that is off can be tried before it is turned on",
  );
  await assert.rejects(bed.alerter.test("none"), (e) => e instanceof ProblemError && e.code === "not_found");
  assert.deepEqual(bed.codes(), ["alert.test", "alert.failed", "alert.failed", "alert.failed"]);
});

Deno.test("what happened once is told when it is bad enough, not again and again, and only by the node that saw it", async () => {
  await using bed = new Bed();
  await bed.alerter.configure(settings([webhook(bed.url)]));
  const takeover: NewEvent = {
    severity: "critical",
    subject: "vm",
    name: "press-1",
    code: "vm.taken_over",
    params: { node: "press-a" },
    text: "Was taken over by press-a.",
    actor: null,
  };
  bed.happens(takeover, "press-b");
  bed.happens(takeover);
  bed.happens(takeover);
  bed.happens({ ...takeover, severity: "info" });
  bed.happens({ ...takeover, code: "vm.runs" });
  bed.now += 120_000;
  bed.happens(takeover);
  const told = await bed.inbox.until(2);
  assert.deepEqual(told.map(({ kind, text }) => [kind, text]), [
    ["event", "VM press-1: Was taken over by press-a."],
    ["event", "VM press-1: Was taken over by press-a."],
  ]);
});

Deno.test("settings are kept in a file of our own, without being shown; a restart knows them and what was told", async () => {
  await using bed = new Bed();
  const written = settings([webhook(bed.url, { secret: "s3cret" })], {
    threshold: "critical",
    repeat_s: 600,
  });
  const shown = await bed.alerter.configure(written);
  assert.doesNotMatch(JSON.stringify([shown, bed.alerter.settings()]), /s3cret/);
  bed.seconds(10, failed);
  await bed.inbox.until(1);
  await bed.alerter[Symbol.asyncDispose]();
  for (const name of ["alerts.json", "told.json"]) {
    assert.equal(Deno.statSync(`${bed.place.path}/${name}`).mode! & 0o777, 0o600, name);
  }
  bed.alerter = bed.start();
  assert.deepEqual(bed.alerter.settings(), shown);
  bed.seconds(20, failed);
  bed.seconds(20);
  assert.deepEqual((await bed.inbox.until(2)).map(({ kind }) => kind), ["raised", "cleared"]);
});

Deno.test("settings that are refused change nothing", async () => {
  await using bed = new Bed();
  const before = await bed.alerter.configure(settings([webhook(bed.url)]));
  await assert.rejects(
    bed.alerter.configure({ channels: [{ kind: "email" }] } as unknown as AlertSettings),
    (error) => error instanceof ProblemError && error.code === "invalid" && error.fields.length > 0,
  );
  assert.deepEqual(bed.alerter.settings(), before);
});

Deno.test("settings that cannot be read are put aside and said, and the node starts", async () => {
  await using bed = new Bed();
  await bed.alerter[Symbol.asyncDispose]();
  Deno.writeTextFileSync(`${bed.place.path}/alerts.json`, "{ no json");
  Deno.writeTextFileSync(`${bed.place.path}/told.json`, "[1, 2]");
  bed.alerter = bed.start();
  assert.deepEqual(bed.codes(), ["alert.failed"]);
  assert.deepEqual(bed.alerter.settings().channels, []);
  assert.ok(Deno.statSync(`${bed.place.path}/alerts.json.damaged`).isFile);
  await bed.alerter.configure(settings([webhook(bed.url)]));
});

Deno.test("a flood of messages to a dead channel is bounded", async () => {
  await using bed = new Bed();
  await bed.alerter.configure(settings([syslog(deadPort(), { protocol: "tcp" })]));
  for (let i = 0; i < 500; i++) {
    bed.happens({
      severity: "critical",
      subject: "vm",
      name: `vm-${i}`,
      code: "vm.failed",
      params: {},
      actor: null,
    });
    bed.happens({
      severity: "critical",
      subject: "vm",
      name: `vm-${i}`,
      code: "vm.alarm",
      params: {},
      actor: null,
    });
  }
  const [counts] = bed.alerter.counts();
  assert.ok(counts!.waiting <= 100, `${counts!.waiting}`);
  assert.ok(counts!.failed >= 400, `${counts!.failed}`);
});
