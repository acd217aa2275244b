/** A host and its witness when something between them, or one of them, is not as it should be. */

import assert from "node:assert/strict";
import { connect, createServer, type Server, type Socket } from "node:net";
import { EdgeError } from "../../lib/errors.ts";
import { openIdentity } from "../../lib/node/identity.ts";
import type { WitnessClient } from "../../lib/witness/client.ts";
import { chooseProtocol } from "../../lib/witness/protocol.ts";
import { grantFile } from "../../lib/witness/store.ts";
import { clientOf, HOST, InProcess, newIdentity, OwnProcess, Raw, setPairs, soon, until } from "./kit.ts";

const [a, b] = [newIdentity(), newIdentity()];
const PAIR = { name: "press", hosts: [a.id, b.id] as [string, string] };

/** What a client's watch was told last. */
function watching(client: WitnessClient): { reachable: boolean | null; why: string } {
  const told: { reachable: boolean | null; why: string } = { reachable: null, why: "" };
  client.watch((reachable, why) => Object.assign(told, { reachable, why }));
  return told;
}

/** The line between a host and its witness, which a test can cut, or make swallow what the witness says. */
class Line implements AsyncDisposable {
  readonly #server: Server;
  readonly #ends = new Set<Socket>();
  /** Connections are cut as soon as the witness says its nth thing on one; 0: never. */
  cutAtAnswer = 0;
  connections = 0;

  private constructor(port: number) {
    this.#server = createServer((near) => {
      this.connections++;
      const far = connect({ host: HOST, port });
      let answers = 0;
      near.pipe(far);
      far.on("data", (bytes) => {
        if (this.cutAtAnswer > 0 && ++answers >= this.cutAtAnswer) return near.destroy();
        near.write(bytes);
      });
      for (const end of [near, far]) {
        this.#ends.add(end);
        end.on("error", () => {});
        end.on("close", () => (this.#ends.delete(end), near.destroy(), far.destroy()));
      }
    });
  }

  static async to(port: number): Promise<Line> {
    const line = new Line(port);
    await new Promise<void>((resolve) => line.#server.listen(0, HOST, () => resolve()));
    return line;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const end of this.#ends) end.destroy();
    await closed;
  }
}

Deno.test("an answer that is lost on the way is asked for again, and is the same grant", async () => {
  await using witness = await InProcess.start({ pairs: [PAIR] });
  await using line = await Line.to(witness.port);
  await using client = clientOf({ port: line.port, id: witness.id }, { identity: a });
  const told = watching(client);
  await until("it is connected", () => told.reachable === true);
  const before = line.connections;
  line.cutAtAnswer = 1; // also the one that is there says no more
  const asked = client.ask({ known: 4, term: 5 });
  await until("it was granted, and the line cut", async () => {
    return (await witness.store.views())[0]?.term === 5 && line.connections > before;
  });
  line.cutAtAnswer = 0;
  assert.deepEqual(await asked, { kind: "granted", term: 5 });
  assert.equal((await witness.store.views())[0]?.term, 5);
});

Deno.test("a witness that stands still is missed, a question to it fails in its bound, and it is found again", async () => {
  const data = await Deno.makeTempDir({ prefix: "witness-" });
  const { id } = openIdentity(data);
  await setPairs(data, [PAIR]);
  const witness = await OwnProcess.start({ data });
  try {
    await using client = clientOf({ port: witness.port, id }, { identity: a, answerMs: 500 });
    const told = watching(client);
    await until("reachable", () => told.reachable === true);
    witness.signal("SIGSTOP");
    await until("missed", () => told.reachable === false);
    assert.match(told.why, /does not answer|no answer/);
    await assert.rejects(soon(client.ask({ known: 0, term: 1 }), "an answer"), (error) => {
      assert.ok(error instanceof EdgeError);
      assert.match(error.message, /is not reachable: /);
      return true;
    });
    witness.signal("SIGCONT");
    await until("found again", () => told.reachable === true);
    const { kind } = await client.ask({ known: 0, term: 1 });
    assert.equal(kind, "granted");
  } finally {
    await witness.kill();
    await Deno.remove(data, { recursive: true });
  }
});

Deno.test("a protocol of another version is refused with both versions named; another version of the same one is not", async () => {
  await using witness = await InProcess.start({ pairs: [PAIR], version: "2.3.4" });
  using raw = new Raw(witness, { identity: a });
  await raw.secured;
  raw.say({ protocol: 7, version: "9.8.7", what: "is new in protocol 7" });
  const { code, error, hint } = (await raw.next())?.["refused"] as Record<string, string>;
  assert.equal(code, "version");
  assert.equal(
    error,
    "the witness is iservft-edge 2.3.4 (protocol 1), this host is iservft-edge 9.8.7 (protocol 7)",
  );
  assert.equal(hint, "Upgrade iservft-edge on the witness.");
  assert.equal((await witness.store.views()).length, 0);
  // Other versions that speak the same protocol work together: a rolling upgrade.
  await using client = clientOf(witness, { identity: a, version: "0.0.1" });
  assert.equal((await client.ask({ known: 0, term: 1 })).kind, "granted");
});

Deno.test("a newer host speaks with an older witness what both know, and is refused when that is nothing", async () => {
  await using witness = await InProcess.start({ pairs: [PAIR] });
  const says = async (hello: Record<string, unknown>) => {
    using raw = new Raw(witness, { identity: a });
    await raw.secured;
    raw.say({ version: "3.0.0", pair: PAIR.name, vm: "scada", ...hello });
    return await raw.next();
  };
  assert.equal((await says({ protocol: 1, newest: 3 }))?.["protocol"], 1);
  const refused = (await says({ protocol: 2, newest: 3 }))?.["refused"] as Record<string, string>;
  assert.match(
    refused["error"] ?? "",
    /the witness is iservft-edge \S+ \(protocol 1\), this host is iservft-edge 3\.0\.0 \(protocols 2 to 3\)/,
  );
  // The rule itself, also for witnesses to come.
  const choose = (protocol: number, newest: number | undefined, ours: [number, number]) =>
    chooseProtocol({ protocol, version: "1", newest }, { oldest: ours[0], newest: ours[1] });
  assert.equal(choose(1, undefined, [1, 3]), 1, "a host that says one alone");
  assert.equal(choose(1, undefined, [2, 3]), undefined);
  assert.equal(choose(2, 4, [1, 3]), 3);
  assert.equal(choose(3, 2, [1, 3]), undefined, "a range that is none");
});

Deno.test("what answers at the witness's address but has another ID is not asked, and both IDs are named", async () => {
  await using witness = await InProcess.start({ pairs: [PAIR] });
  const expected = newIdentity().id;
  await using client = clientOf({ port: witness.port, id: expected }, { identity: a });
  const told = watching(client);
  await until("it is refused", () => told.reachable === false);
  assert.ok(told.why.includes(witness.id) && told.why.includes(expected.slice(0, 11)), told.why);
  await assert.rejects(client.ask({ known: 0, term: 1 }), /is not the witness/);
  assert.deepEqual(await witness.store.views(), []);
});

Deno.test("a pair that is added is served, and one that is removed is refused, while the witness runs", async () => {
  await using witness = await InProcess.start();
  await using client = clientOf(witness, { identity: a });
  const told = watching(client);
  await until("it is refused", () => /is in no pair/.test(told.why));
  await setPairs(witness.directory, [PAIR]);
  await until("it is let in", () => told.reachable === true);
  assert.equal((await client.ask({ known: 0, term: 1 })).kind, "granted");
  await setPairs(witness.directory, []);
  await assert.rejects(client.ask({ known: 1, term: 2 }), /is in no pair/);
  assert.equal((await witness.store.views())[0]?.term, 1);
});

Deno.test("a damaged record is said to the host at once, and only its VM is refused", async () => {
  await using witness = await InProcess.start({ pairs: [PAIR] });
  await Deno.mkdir(`${witness.directory}/groups/press`);
  await Deno.writeTextFile(grantFile(witness.directory, { pair: "press", vm: "scada" }), "{");
  await using client = clientOf(witness, { identity: a });
  const told = watching(client);
  await until("it is refused", () => /is damaged/.test(told.why));
  await assert.rejects(client.ask({ known: 0, term: 1 }), /record of this VM's grants is damaged/);
  await using other = clientOf(witness, { identity: a, vm: "historian" });
  assert.equal((await other.ask({ known: 0, term: 1 })).kind, "granted");
});

Deno.test("a newer connection of a host takes the older one's place, and the older one's questions are void", async () => {
  await using witness = await InProcess.start({ pairs: [PAIR] });
  const hello = { protocol: 1, version: "1.0.0", pair: "press", vm: "scada" };
  using older = new Raw(witness, { identity: a });
  await older.secured;
  older.say(hello);
  assert.equal((await older.next())?.["protocol"], 1);
  using newer = new Raw(witness, { identity: a });
  await newer.secured;
  newer.say(hello);
  assert.equal((await newer.next())?.["protocol"], 1);
  older.say({ id: 1, op: "ask", known: 0, term: 1 });
  assert.equal(((await older.next())?.["refused"] as Record<string, string>)["code"], "superseded");
  await soon(older.closed, "the end");
  assert.equal((await witness.store.views())[0]?.term, 0);
  assert.equal(witness.server.connected.length, 1);
  newer.say({ id: 1, op: "ask", known: 0, term: 1 });
  assert.deepEqual((await newer.next())?.["answer"], { kind: "granted", term: 1 });
});

Deno.test("one witness serves many pairs and VMs at once, each for itself, and exactly one host of each is granted", async () => {
  const pairs = Array.from({ length: 8 }, (_, index) => ({
    name: `pair${index}`,
    identities: [newIdentity(), newIdentity()],
  }));
  await using witness = await InProcess.start({
    pairs: pairs.map(({ name, identities: [x, y] }) => ({ name, hosts: [x!.id, y!.id] })),
  });
  const clients: WitnessClient[] = [];
  try {
    const groups = pairs.flatMap(({ name, identities }) =>
      ["scada", "historian", "hmi"].map((vm) =>
        identities.map((identity) => {
          const client = clientOf(witness, { identity, pair: name, vm, answerMs: 15_000 });
          clients.push(client);
          return client;
        })
      )
    );
    for (const known of [0, 1, 2]) {
      await Promise.all(groups.map(async (hosts) => {
        const answers = await Promise.all(hosts.map((host) => host.ask({ known, term: known + 1 })));
        assert.deepEqual(answers.map(({ kind }) => kind).sort(), ["granted", "refused"]);
        assert.deepEqual(answers.map(({ term }) => term), [known + 1, known + 1]);
      }));
    }
    assert.equal((await witness.store.views()).length, 24);
    assert.equal(witness.server.connected.length, 48);
  } finally {
    for (const client of clients) await client[Symbol.asyncDispose]();
  }
});
