/** What the LAN may do to a witness: nothing. */

import { Buffer } from "node:buffer";
import { createPrivateKey } from "node:crypto";
import { connect, createServer, type Socket } from "node:net";
import assert from "node:assert/strict";
import type { Identity } from "../../lib/node/identity.ts";
import { clientOf, HOST, InProcess, newIdentity, Raw, soon, until } from "./kit.ts";

const [a, b, c, d] = [newIdentity(), newIdentity(), newIdentity(), newIdentity()];
const PAIRS = [{ name: "press", hosts: [a.id, b.id] as [string, string] }, {
  name: "oven",
  hosts: [c.id, d.id] as [string, string],
}];
const HELLO = { protocol: 1, version: "1.0.0", pair: "press", vm: "scada" };

/** A member is answered as if nothing were going on. */
async function servesMembers(witness: InProcess): Promise<void> {
  await using client = clientOf(witness, { identity: a });
  const term = (await witness.store.views())[0]?.term ?? 0;
  assert.deepEqual(await client.ask({ known: term, term: term + 1 }), { kind: "granted", term: term + 1 });
}

function refusalIn(line: Record<string, unknown> | null): { code: string; error: string; hint: string } {
  return (line?.["refused"] ?? {}) as { code: string; error: string; hint: string };
}

Deno.test("a host that no pair has is refused, and told its ID and what to do", async () => {
  await using witness = await InProcess.start({ pairs: PAIRS });
  const foreign = newIdentity();
  using raw = new Raw(witness, { identity: foreign });
  await raw.secured;
  raw.say(HELLO);
  const { code, error, hint } = refusalIn(await raw.next());
  assert.equal(code, "unknown");
  assert.match(error, /is in no pair of this witness/);
  assert.ok(hint.includes(foreign.id));
  await soon(raw.closed, "the end");
  assert.deepEqual(await witness.store.views(), []);
});

Deno.test("a host of one pair may not touch another pair's VMs", async () => {
  await using witness = await InProcess.start({ pairs: PAIRS });
  await servesMembers(witness);
  using raw = new Raw(witness, { identity: c });
  await raw.secured;
  raw.say(HELLO);
  const { code, error } = refusalIn(await raw.next());
  assert.equal(code, "pair");
  assert.match(error, /is not one of the pair "press"/);
  const views = await witness.store.views();
  assert.deepEqual(views.map(({ pair, holder }) => [pair, holder]), [["press", a.id]]);
});

Deno.test("who has no certificate, or speaks older TLS, gets nothing", async () => {
  await using witness = await InProcess.start({ pairs: PAIRS });
  {
    using raw = new Raw(witness);
    raw.say(HELLO);
    assert.equal(refusalIn(await raw.next()).code, "malformed");
    await soon(raw.closed, "the end");
  }
  {
    using raw = new Raw(witness, { identity: a, maxVersion: "TLSv1.2" });
    await assert.rejects(raw.secured);
  }
  assert.deepEqual(await witness.store.views(), []);
  await servesMembers(witness);
});

/** A key file that claims to be the certificate's, but signs with another key: what a thief of a certificate could make. */
function forgedKey(owner: Identity, thief: Identity): string {
  const point = createPrivateKey(owner.key).export({ format: "jwk" });
  const secret = createPrivateKey(thief.key).export({ format: "jwk" });
  const bytes = (text: unknown) => Buffer.from(String(text), "base64url");
  const element = (tag: number, body: Buffer) => Buffer.concat([Buffer.from([tag, body.length]), body]);
  const named = Buffer.concat([Buffer.from([0, 4]), bytes(point.x), bytes(point.y)]);
  const der = element(
    0x30,
    Buffer.concat([
      Buffer.from("020101", "hex"),
      element(4, bytes(secret.d)),
      element(0xa0, Buffer.from("06082a8648ce3d030107", "hex")),
      element(0xa1, element(3, named)),
    ]),
  );
  return `-----BEGIN EC PRIVATE KEY-----\n${der.toString("base64")}\n-----END EC PRIVATE KEY-----\n`;
}

/** OpenSSL does not look whether a key fits: it can play the thief. Writes the two files and runs it. */
async function withOpenssl<T>(
  files: { certificate: string; key: string },
  use: (run: (args: string[]) => Deno.ChildProcess) => Promise<T>,
): Promise<T> {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${directory}/cert`, files.certificate);
    await Deno.writeTextFile(`${directory}/key`, files.key);
    return await use((args) =>
      new Deno.Command("openssl", {
        args: [...args, "-cert", `${directory}/cert`, "-key", `${directory}/key`],
        stdin: "piped",
        stdout: "piped",
        stderr: "null",
      }).spawn()
    );
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** What the witness says to whoever shows this certificate and signs with this key. */
function saidTo(witness: InProcess, files: { certificate: string; key: string }): Promise<string> {
  return withOpenssl(files, async (run) => {
    const child = run(["s_client", "-connect", `${HOST}:${witness.port}`, "-quiet", "-no_ign_eof"]);
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(`${JSON.stringify(HELLO)}\n`)).catch(() => {});
    const reader = child.stdout.getReader();
    const { value } = await soon(reader.read(), "a word or the end");
    await writer.close().catch(() => {});
    await reader.cancel();
    await child.status;
    return new TextDecoder().decode(value);
  });
}

Deno.test("a certificate without its key opens nothing: the handshake proves who has the key", async () => {
  await using witness = await InProcess.start({ pairs: PAIRS });
  assert.equal(await saidTo(witness, { certificate: a.certificate, key: forgedKey(a, c) }), "");
  assert.deepEqual(witness.events, []);
  // Control: the same tools with the right key are let in.
  assert.match(await saidTo(witness, { certificate: a.certificate, key: a.key }), /^\{"protocol":1/);
  assert.deepEqual(witness.events.map(({ event, node }) => [event, node])[0], ["connected", a.id]);
});

Deno.test("whoever shows the witness's certificate without its key is not believed by a host", async () => {
  const real = newIdentity();
  const reaches = (key: string) =>
    withOpenssl({ certificate: real.certificate, key }, async (run) => {
      const port = freePort();
      const child = run(["s_server", "-accept", `${HOST}:${port}`, "-quiet", "-Verify", "1", "-tls1_3"]);
      await using client = clientOf({ port, id: real.id }, { identity: a });
      const reader = child.stdout.getReader();
      let heard = "";
      const over = Promise.withResolvers<void>();
      client.watch((_, why) => !/nothing listens/.test(why) && over.resolve());
      const hello = reader.read().then(({ value }) => heard = new TextDecoder().decode(value));
      await soon(Promise.race([hello, over.promise]), "the host's hello, or its refusal");
      child.kill("SIGKILL");
      await hello;
      await reader.cancel();
      await child.stdin.close().catch(() => {});
      await child.status;
      return heard;
    });
  assert.equal(await reaches(forgedKey(real, c)), "");
  assert.match(await reaches(real.key), /^\{"protocol":1,.*"pair":"press"/); // control
});

function freePort(): number {
  using listener = Deno.listen({ hostname: HOST, port: 0 });
  return listener.addr.port;
}

Deno.test("garbage, wrong types and lines without end close that connection and nothing else", async () => {
  await using witness = await InProcess.start({ pairs: PAIRS });
  const asHello = [
    "\n",
    "GET / HTTP/1.1\r\n\r\n",
    `${"[".repeat(1000)}\n`,
    "null\n",
    "{}\n",
    `${JSON.stringify({ ...HELLO, protocol: "1" })}\n`,
    `${JSON.stringify({ ...HELLO, pair: "../press" })}\n`,
    `${JSON.stringify({ ...HELLO, vm: "a/../../b" })}\n`,
    `${JSON.stringify({ ...HELLO, vm: "" })}\n`,
    "\0\xff\n",
  ];
  for (const text of asHello) {
    using raw = new Raw(witness, { identity: a });
    await raw.secured;
    raw.say(text);
    assert.equal(refusalIn(await raw.next()).code, "malformed", JSON.stringify(text.slice(0, 40)));
    await soon(raw.closed, "the end");
  }
  const asQuestion = [
    { id: 1, op: "ask", known: 0 },
    { id: 1, op: "ask", known: 0, term: 0 },
    { id: 1, op: "ask", known: -1, term: 1 },
    { id: 1, op: "ask", known: 0, term: 1.5 },
    { id: 1, op: "ask", known: 0, term: 2 ** 60 },
    { id: 1, op: "ask", known: 0, term: "1" },
    { id: 0, op: "ping" },
    { op: "ping" },
    { id: 1, op: "grant", term: 1 },
    [],
  ];
  for (const question of asQuestion) {
    using raw = new Raw(witness, { identity: a });
    await raw.secured;
    raw.say(HELLO);
    assert.equal((await raw.next())?.["protocol"], 1);
    raw.say(question);
    assert.equal(refusalIn(await raw.next()).code, "malformed", JSON.stringify(question).slice(0, 60));
    await soon(raw.closed, "the end");
  }
  // A line that is longer than any that a host sends is not even waited for.
  for (const text of ["x".repeat(100_000), `{"id":1,"op":"ask","known":0,"term":1${" ".repeat(2000)}}\n`]) {
    using raw = new Raw(witness, { identity: a });
    await raw.secured;
    raw.say(HELLO);
    assert.equal((await raw.next())?.["protocol"], 1);
    raw.say(text);
    assert.equal(await raw.next(), null);
    await soon(raw.closed, "the end");
  }
  assert.equal((await witness.store.views())[0]?.term, 0);
  await servesMembers(witness);
});

Deno.test("who connects and says nothing, or says it byte by byte for ever, is sent away in time", async () => {
  await using witness = await InProcess.start({ pairs: PAIRS, limits: { proofMs: 300 } });
  const plain = connect({ host: HOST, port: witness.port });
  const gone = new Promise<void>((resolve) => plain.once("close", () => resolve()));
  plain.on("error", () => {});
  using silent = new Raw(witness, { identity: a });
  using slow = new Raw(witness, { identity: b });
  await slow.secured;
  const drip = setInterval(() => slow.socket.write(" "), 20);
  slow.closed.then(() => clearInterval(drip));
  await soon(Promise.all([gone, silent.closed, slow.closed]), "the end of all three");
  await until("nobody is left", () => witness.server.unproven === 0);
  await servesMembers(witness);
});

Deno.test("noise instead of TLS, and TLS that turns into noise, close that connection and nothing else", async () => {
  await using witness = await InProcess.start({
    pairs: PAIRS,
    limits: { perSecond: 1000, burst: 1000, perAddress: 1000 },
  });
  const seed = 7;
  let state = seed;
  const noise = (length: number) =>
    Buffer.from(
      Array.from({ length }, () => (state = (state * 1103515245 + 12345) & 0x7fffffff) >> 16 & 255),
    );
  const heads = [Buffer.alloc(0), Buffer.from("160301", "hex"), Buffer.from("16030100ff01", "hex")];
  for (let i = 0; i < 90; i++) {
    const socket = connect({ host: HOST, port: witness.port });
    const gone = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    socket.on("error", () => {});
    socket.resume();
    socket.end(Buffer.concat([heads[i % heads.length]!, noise(1 + i * 20)]));
    await soon(gone, `the end of ${i} (seed ${seed})`);
  }
  for (let i = 0; i < 10; i++) {
    const plain = connect({ host: HOST, port: witness.port });
    using raw = new Raw(witness, { identity: a, socket: plain });
    await raw.secured;
    raw.say(HELLO);
    assert.equal((await raw.next())?.["protocol"], 1);
    plain.write(noise(100 + i));
    assert.equal(await raw.next(), null);
  }
  await servesMembers(witness);
});

/** Opens plain connections from one address, and keeps each as long as it lives. */
function crowd(witness: InProcess, { size, from }: { size: number; from: string }): Socket[] {
  return Array.from({ length: size }, () => {
    const socket = connect({ host: HOST, port: witness.port, localAddress: from });
    socket.on("error", () => {});
    socket.once("connect", () => socket.write("\x16\x03\x01"));
    return socket;
  });
}

Deno.test("a thousand connections of strangers are kept few, while members are served and new ones let in", async () => {
  await using witness = await InProcess.start({ pairs: PAIRS, limits: { unproven: 64, perAddress: 32 } });
  await using old = clientOf(witness, { identity: b });
  assert.equal((await old.ask({ known: 0, term: 1 })).kind, "granted");
  const sockets: Socket[] = [];
  let most = 0;
  try {
    for (let part = 0; part < 10; part++) {
      sockets.push(...crowd(witness, { size: 100, from: `127.0.1.${1 + (part % 5)}` }));
      assert.equal((await old.ask({ known: part + 1, term: part + 2 })).kind, "granted");
      most = Math.max(most, witness.server.unproven);
    }
    await using fresh = clientOf(witness, { identity: c, pair: "oven" });
    assert.equal((await fresh.ask({ known: 0, term: 1 })).kind, "granted");
    most = Math.max(most, witness.server.unproven);
    assert.ok(most <= 64, `${most} were let in at once`);
    assert.ok(most > 0, "no stranger was let in: the crowd was not there");
  } finally {
    for (const socket of sockets) socket.destroy();
  }
  await until("the crowd is gone", () => witness.server.unproven === 0);
});

Deno.test("what was recorded on the network is worth nothing when it is played again", async () => {
  await using witness = await InProcess.start({ pairs: PAIRS });
  const recorded: Buffer[] = [];
  const tap = createServer((near) => {
    const far = connect({ host: HOST, port: witness.port });
    near.on("data", (bytes: Buffer) => recorded.push(Buffer.from(bytes)));
    near.pipe(far).pipe(near);
    for (const socket of [near, far]) {
      socket.on("error", () => {});
      socket.on("close", () => (near.destroy(), far.destroy()));
    }
  });
  await new Promise<void>((resolve) => tap.listen(0, HOST, () => resolve()));
  const { port } = tap.address() as { port: number };
  {
    await using client = clientOf({ port, id: witness.id }, { identity: a });
    await client.ask({ known: 0, term: 1 });
    await client.release(1);
  }
  await new Promise<void>((resolve) => tap.close(() => resolve()));
  await until("it was heard that the host is gone", () => witness.server.connected.length === 0);
  const before = await witness.store.views();
  const told = witness.events.length;
  const again = connect({ host: HOST, port: witness.port });
  const gone = new Promise<void>((resolve) => again.once("close", () => resolve()));
  again.on("error", () => {});
  again.on("data", () => {});
  again.end(Buffer.concat(recorded));
  await soon(gone, "the end");
  assert.deepEqual(await witness.store.views(), before);
  assert.equal(witness.events.length, told);
});
