/** etcd as the arbiter, with the real program. */

import assert from "node:assert/strict";
import { connect, createServer, type Server, type Socket } from "node:net";
import { EdgeError } from "../../lib/errors.ts";
import { decideGrant, type GrantAnswer, NO_GRANT } from "../../lib/group/grant.ts";
import { seeded } from "../../lib/lab/random.ts";
import { arbiterAt, Etcd, KEY, makeCertificates, watching } from "./etcd_kit.ts";
import { HOST, soon, until } from "./kit.ts";

type Asking = { ask(question: { known: number; term: number }): Promise<GrantAnswer> };

/** Both ask for a term in the same instant, again and again. The terms that were granted to both, and how many times it was nobody. */
async function race(hosts: readonly Asking[], times: number): Promise<{ both: number[]; nobody: number }> {
  const found = { both: [] as number[], nobody: 0 };
  for (let known = 0, time = 0; time < times; time++) {
    const answers = await Promise.all(hosts.map((host) => host.ask({ known, term: known + 1 })));
    const granted = answers.filter((answer) => answer.kind === "granted");
    if (granted.length > 1) found.both.push(known + 1);
    if (granted.length === 0) found.nobody++;
    known = Math.max(...answers.map((answer) => answer.kind === "noted" ? 0 : answer.term));
  }
  return found;
}

/** What an arbiter would be that reads, decides, and then writes whatever was written meanwhile. */
function careless(etcd: Etcd, node: string): Asking {
  return {
    ask: async (question) => {
      const held = await etcd.held();
      const { record, answer } = decideGrant(held === undefined ? NO_GRANT : JSON.parse(held.value), {
        kind: "ask",
        node,
        ...question,
      });
      await etcd.put(JSON.stringify(record));
      return answer;
    },
  };
}

async function rejects(asked: Promise<unknown>, message: RegExp, hint = /./): Promise<void> {
  await assert.rejects(soon(asked, "an answer"), (error) => {
    assert.ok(error instanceof EdgeError, String(error));
    assert.match(error.message, message);
    assert.match(error.hint, hint);
    return true;
  });
}

Deno.test("of two hosts that ask etcd in the same instant exactly one is granted, over 300 terms", async () => {
  await using etcd = await Etcd.start();
  await using one = arbiterAt(etcd, { node: "left", answerMs: 20_000 });
  await using two = arbiterAt(etcd, { node: "right", answerMs: 20_000 });
  assert.deepEqual(await race([one, two], 300), { both: [], nobody: 0 });
});

Deno.test("control: an arbiter that reads and then writes without comparing grants a term to both", async () => {
  await using etcd = await Etcd.start();
  const { both } = await race([careless(etcd, "left"), careless(etcd, "right")], 100);
  assert.ok(both.length > 0, "the race never happened");
});

Deno.test("a question that is asked again gets the same answer; a term that was given back is free", async () => {
  await using etcd = await Etcd.start();
  await using one = arbiterAt(etcd, { node: "left" });
  await using two = arbiterAt(etcd, { node: "right" });
  assert.deepEqual(await one.ask({ known: 3, term: 4 }), { kind: "granted", term: 4 });
  assert.deepEqual(await one.ask({ known: 3, term: 4 }), { kind: "granted", term: 4 });
  assert.deepEqual(await two.ask({ known: 3, term: 4 }), { kind: "refused", term: 4, holder: "left" });
  await one.release(4);
  assert.deepEqual(await two.ask({ known: 3, term: 4 }), { kind: "granted", term: 5 });
  await one.note(9);
  assert.deepEqual(await two.ask({ known: 5, term: 6 }), { kind: "refused", term: 9, holder: "left" });
  assert.deepEqual((await etcd.held())?.version, 4, "an answer alone was written");
});

Deno.test("etcd is killed and started again at random moments: never are both granted, and each question is answered in the end", async (t) => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  await t.step(`seed ${seed}`, async () => {
    const random = seeded(seed);
    await using etcd = await Etcd.start();
    await using one = arbiterAt(etcd, { node: "left" });
    await using two = arbiterAt(etcd, { node: "right" });
    let unanswered = 0;
    const patient = (host: Asking): Asking => ({
      ask: async (question) => {
        for (;;) {
          try {
            return await host.ask(question);
          } catch (error) {
            if (!(error instanceof EdgeError)) throw error;
            unanswered++;
          }
        }
      },
    });
    let over = false;
    const found = { both: 0, nobody: 0, terms: 0 };
    const racing = (async () => {
      const hosts = [patient(one), patient(two)];
      for (let known = 0; !over; found.terms++) {
        const answers = await Promise.all(hosts.map((host) => host.ask({ known, term: known + 1 })));
        const granted = answers.filter((answer) => answer.kind === "granted");
        if (granted.length > 1) found.both++;
        if (granted.length === 0) found.nobody++;
        known = Math.max(...answers.map((answer) => answer.kind === "noted" ? 0 : answer.term));
      }
    })();
    for (let time = 0; time < 4; time++) {
      const before = found.terms;
      await until("it grants", () => found.terms > before + 2);
      await new Promise((resolve) => setTimeout(resolve, random() * 50));
      await etcd.kill();
      await etcd.begin();
    }
    over = true;
    await soon(racing, "the last answer");
    assert.deepEqual([found.both, found.nobody], [0, 0], `${unanswered} questions had to be asked anew`);
    assert.ok(found.terms > 10);
  });
});

Deno.test("etcd that stands still is missed, a question to it fails in its bound, and it is found again", async () => {
  await using etcd = await Etcd.start();
  await using arbiter = arbiterAt(etcd, { node: "left", answerMs: 600 });
  const told = watching(arbiter);
  await until("reachable", () => told.reachable === true);
  etcd.signal("SIGSTOP");
  await until("missed", () => told.reachable === false);
  assert.match(told.why, /no answer within/);
  await rejects(arbiter.ask({ known: 0, term: 1 }), /etcd at .* is not reachable: no answer/, /quorum/);
  etcd.signal("SIGCONT");
  await until("found again", () => told.reachable === true);
  await until("granted", () => arbiter.ask({ known: 0, term: 1 }).then(() => true, () => false));
  assert.deepEqual(JSON.parse((await etcd.held())!.value), { iservft: 1, term: 1, holder: "left" });
});

/** The line between a host and etcd: it breaks when etcd answers a transaction, as often as it is told. */
class Line implements AsyncDisposable {
  readonly #server: Server;
  readonly #ends = new Set<Socket>();
  /** Transactions whose answers are still to be lost. */
  lose = 0;

  constructor(port: number) {
    this.#server = createServer((near) => {
      const far = connect({ host: HOST, port });
      let changing = false;
      near.on("data", (bytes) => {
        changing ||= this.lose > 0 && String(bytes).includes("request_put");
        far.write(bytes);
      });
      far.on("data", (bytes) => {
        if (changing && this.lose-- > 0) return near.destroy();
        near.write(bytes);
      });
      for (const end of [near, far]) {
        this.#ends.add(end);
        end.on("error", () => {});
        end.on("close", () => (this.#ends.delete(end), near.destroy(), far.destroy()));
      }
    });
  }

  listen(): Promise<void> {
    return new Promise((resolve) => this.#server.listen(0, HOST, () => resolve()));
  }

  get endpoint(): string {
    return `http://${HOST}:${(this.#server.address() as { port: number }).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const end of this.#ends) end.destroy();
    await closed;
  }
}

Deno.test("a change whose answer is lost on the way is made once, and the same question gets the same grant", async () => {
  await using etcd = await Etcd.start();
  await using line = new Line(etcd.port);
  await line.listen();
  await using arbiter = arbiterAt(line, { node: "left", answerMs: 10_000 });
  const told = watching(arbiter);
  await until("reachable", () => told.reachable === true);
  line.lose = 2;
  assert.deepEqual(await arbiter.ask({ known: 4, term: 5 }), { kind: "granted", term: 5 });
  assert.ok(line.lose < 2, "no answer was lost");
  assert.deepEqual((await etcd.held())?.version, 1);
});

Deno.test("something else under the key is named, and nothing is granted until it is gone", async () => {
  await using etcd = await Etcd.start();
  const garbage = [
    "",
    "not JSON",
    "{}",
    '{"iservft":1,"term":-1,"holder":null}',
    '{"iservft":2,"term":3,"holder":"left"}',
  ];
  for (const value of [...garbage, "x".repeat(100_000)]) {
    await etcd.put(value);
    await using arbiter = arbiterAt(etcd, { node: "left" });
    const told = watching(arbiter);
    const message = value.length > 1000
      ? /answer is too long/
      : new RegExp(`the key ${KEY} holds something that is no grant`);
    await rejects(arbiter.ask({ known: 0, term: 1 }), message);
    await until("it is said", () => told.reachable === false);
    assert.equal((await etcd.held())?.value, value);
  }
  await etcd.do("kv/deleterange", { key: btoa(KEY) });
  await using arbiter = arbiterAt(etcd, { node: "left" });
  assert.equal((await arbiter.ask({ known: 0, term: 1 })).kind, "granted");
});

Deno.test("of several endpoints the next one is asked when one does not answer; a URL where nothing listens is said", async () => {
  await using etcd = await Etcd.start();
  await using frozen = await Etcd.start();
  frozen.signal("SIGSTOP");
  const nothing = `http://${HOST}:1`;
  await using arbiter = arbiterAt(etcd, {
    node: "left",
    endpoints: [nothing, frozen.endpoint, etcd.endpoint],
    answerMs: 5000,
  });
  assert.equal((await arbiter.ask({ known: 0, term: 1 })).kind, "granted");
  await using lost = arbiterAt({ endpoint: nothing }, { node: "left", answerMs: 200 });
  await rejects(lost.ask({ known: 0, term: 1 }), /127\.0\.0\.1:1 is not reachable: nothing listens there/);
});

Deno.test("endpoints of two clusters are refused: each would grant its own terms", async () => {
  await using one = await Etcd.start();
  await using two = await Etcd.start();
  await using arbiter = arbiterAt(one, { node: "left", endpoints: [one.endpoint, two.endpoint] });
  assert.equal((await arbiter.ask({ known: 0, term: 1 })).kind, "granted");
  await one.kill();
  await rejects(
    arbiter.ask({ known: 1, term: 2 }),
    /this is the cluster \d+, but before it was \d+/,
    /one cluster/,
  );
  assert.equal(await two.held(), undefined);
});

Deno.test("etcd is believed only with a certificate of the given authority, and gets the host's own", async () => {
  const directory = await Deno.makeTempDir({ prefix: "etcd-ca-" });
  try {
    const [right, wrong] = await Promise.all(["right", "wrong"].map(async (name) => {
      await Deno.mkdir(`${directory}/${name}`);
      return await makeCertificates(`${directory}/${name}`);
    }));
    const read = (file: string) => Deno.readTextFileSync(file);
    const own = { certificate: read(right!.certificate), privateKey: read(right!.key) };
    await using etcd = await Etcd.start({ tls: right! });
    const trying = (options: Parameters<typeof arbiterAt>[1]) =>
      arbiterAt(etcd, { answerMs: 1000, ...options });
    await using good = trying({ node: "left", ca: read(right!.ca), ...own });
    assert.equal((await good.ask({ known: 0, term: 1 })).kind, "granted");
    await using other = trying({ node: "right", ca: read(wrong!.ca), ...own });
    await rejects(other.ask({ known: 1, term: 2 }), /is not reachable: .*certificate/i);
    await using none = trying({ node: "right", ...own });
    await rejects(none.ask({ known: 1, term: 2 }), /is not reachable: .*certificate/i);
    await using nobody = trying({ node: "right", ca: read(right!.ca) });
    await rejects(nobody.ask({ known: 1, term: 2 }), /is not reachable/);
    assert.deepEqual(await good.ask({ known: 0, term: 1 }), { kind: "granted", term: 1 });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a user is let in by a password, again after etcd was restarted; a wrong one, and one who may not write, are said", async () => {
  await using etcd = await Etcd.start();
  const key = btoa(KEY);
  await etcd.do("auth/user/add", { name: "root", password: "root" });
  await etcd.do("auth/user/grant", { user: "root", role: "root" });
  for (const [name, permType] of [["edge", "READWRITE"], ["viewer", "READ"]]) {
    await etcd.do("auth/user/add", { name, password: `of ${name}` });
    await etcd.do("auth/role/add", { name });
    await etcd.do("auth/role/grant", { name, perm: { permType, key } });
    await etcd.do("auth/user/grant", { user: name, role: name });
  }
  await etcd.do("auth/enable", {});
  const as = (name: string, password: string) => arbiterAt(etcd, { node: "left", user: { name, password } });
  await using edge = as("edge", "of edge");
  assert.deepEqual(await edge.ask({ known: 0, term: 1 }), { kind: "granted", term: 1 });
  await etcd.kill();
  await etcd.begin();
  assert.deepEqual(await edge.ask({ known: 1, term: 2 }), { kind: "granted", term: 2 });
  await using wrong = as("edge", "guessed");
  await rejects(
    wrong.ask({ known: 2, term: 3 }),
    /does not let the user "edge" in: .*password/,
    /password_file/,
  );
  await using viewer = as("viewer", "of viewer");
  const told = watching(viewer);
  await until("it is missed that it may not write", () => told.reachable === false);
  assert.match(told.why, /permission denied/);
  await using stranger = arbiterAt(etcd, { node: "left" });
  await rejects(stranger.ask({ known: 2, term: 3 }), /is not reachable: it says: .*(user name|permission)/);
});
