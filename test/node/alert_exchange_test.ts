import assert from "node:assert/strict";
import type { AlertSettings } from "../../lib/model/alerts.ts";
import { AlertExchange } from "../../lib/node/alert_exchange.ts";
import { Alerter } from "../../lib/observe/alerts/alerter.ts";
import { settings, webhook } from "../observe/alert_kit.ts";
import { FakeChannel } from "./vm/kit.ts";

/** A node's part of it. */
class Side implements AsyncDisposable {
  readonly directory = Deno.makeTempDirSync();
  readonly channel: FakeChannel;
  alerter: Alerter;
  exchange: AlertExchange;
  now = 1_000;

  constructor(peer: string) {
    this.channel = new FakeChannel({ id: peer, name: peer });
    this.alerter = this.#alerter();
    this.exchange = new AlertExchange({ channel: this.channel, alerts: this.alerter });
  }

  #alerter(): Alerter {
    return new Alerter({
      directory: this.directory,
      node: "n",
      nowMs: () => this.now,
      observer: {
        event: () => {},
        subscribe: () => ({ [Symbol.dispose]() {} }),
        state: () => ({ events_kept: 0, events_lost: 0, samples_lost: 0, problem: null }),
      },
    });
  }

  async restart(): Promise<void> {
    await this.exchange[Symbol.asyncDispose]();
    await this.alerter[Symbol.asyncDispose]();
    this.alerter = this.#alerter();
    this.exchange = new AlertExchange({ channel: this.channel, alerts: this.alerter });
  }

  /** Names and secrets. */
  has(): string[] {
    return this.alerter.replica().settings.channels.map((one) =>
      one.kind === "webhook" ? `${one.name} ${one.secret}` : one.name
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.exchange[Symbol.asyncDispose]();
    await this.alerter[Symbol.asyncDispose]();
    Deno.removeSync(this.directory, { recursive: true });
  }
}

const named = (name: string): AlertSettings =>
  settings([webhook("https://a.test/", { name, secret: `of-${name}` })]);

async function two(body: (a: Side, b: Side) => Promise<void>): Promise<void> {
  await using a = new Side("b");
  await using b = new Side("a");
  a.channel.other = b.channel;
  b.channel.other = a.channel;
  await body(a, b);
}

Deno.test("settings made on one node are the other's as well, with their secrets, and after a restart", async () => {
  await two(async (a, b) => {
    await a.alerter.configure(named("one"));
    await a.exchange.exchange();
    assert.deepEqual(b.has(), ["one of-one"]);
    await b.restart();
    assert.deepEqual(b.has(), ["one of-one"]);
    // The other way, by a clock that is behind.
    b.now = 5;
    await b.alerter.configure(named("two"));
    await b.exchange.exchange();
    assert.deepEqual(a.has(), ["two of-two"]);
  });
});

Deno.test("what was set while the other node was away goes over when it is back, and what is older does not come back", async () => {
  await two(async (a, b) => {
    await a.alerter.configure(named("one"));
    await a.exchange.exchange();
    for (const side of [a, b]) side.channel.set(false);
    a.now = 9_000;
    await a.alerter.configure(named("newer"));
    await a.exchange.exchange();
    assert.deepEqual(b.has(), ["one of-one"], "it is away");
    a.channel.reachable = b.channel.reachable = true;
    await b.exchange.exchange();
    assert.deepEqual([a.has(), b.has()], [["newer of-newer"], ["newer of-newer"]]);
  });
});

Deno.test("a new node without settings takes those that are there, and gives none", async () => {
  await two(async (a, b) => {
    await b.alerter.configure(named("kept"));
    await a.exchange.exchange();
    assert.deepEqual([a.has(), b.has()], [["kept of-kept"], ["kept of-kept"]]);
  });
});

Deno.test("settings that are not good are refused whoever sends them, and the secrets go over only when they are needed", async () => {
  await two(async (a, b) => {
    const bad = { revision: 99_999, settings: { channels: [{ kind: "email" }] } };
    await assert.rejects(a.channel.call("alerts.settings", bad), /settings of alerts/);
    await assert.rejects(a.channel.call("alerts.settings", { revision: -1 }));
    assert.deepEqual(b.has(), []);
    await a.alerter.configure(named("one"));
    await a.exchange.exchange();
    const asked: unknown[] = [];
    const answer = b.channel.answers.get("alerts.settings")!;
    b.channel.answers.set("alerts.settings", async (params) => {
      const said = await answer(params);
      asked.push(params, said);
      return said;
    });
    await a.exchange.exchange();
    assert.deepEqual(asked, [{ revision: 1_000 }, { revision: 1_000 }]);
  });
});

Deno.test("a revision that no other could come after is not believed", async () => {
  await using a = new Side("b");
  const tell = async (revision: number) =>
    await a.channel.answers.get("alerts.settings")!({ revision, settings: settings([]) });
  await assert.rejects(tell(Number.MAX_SAFE_INTEGER));
  assert.equal(a.alerter.replica().revision, 0);
  await tell(7);
  assert.equal(a.alerter.replica().revision, 7);
});
