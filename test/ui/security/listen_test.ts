import assert from "node:assert/strict";
import { makeCertifiedKey } from "../../../lib/node/certificate.ts";
import { wantedHosts } from "../../../ui/listen.ts";
import { CONNECTION_LIMITS } from "../../../ui/security/connections.ts";
import { Front } from "../../../ui/security/front.ts";
import { PASSWORD } from "../../access/kit.ts";
import { cookieOf, raw, statusOf, webRig } from "./kit.ts";

Deno.test("before there is an administrator only loopback listens, and then the whole address, without a restart", () => {
  assert.deepEqual(wantedHosts("0.0.0.0", { administrator: false }), ["127.0.0.1", "::1"]);
  assert.deepEqual(wantedHosts("0.0.0.0", { administrator: true }), ["0.0.0.0", "::1"]);
  assert.deepEqual(wantedHosts("192.0.2.1", { administrator: true }), ["192.0.2.1", "127.0.0.1", "::1"]);
  assert.deepEqual(wantedHosts("::", { administrator: true }), ["::"]);
});

Deno.test("a door opens at the wider address when the administrator is there", async () => {
  await using r = await webRig({ administrator: false, hostname: "127.0.0.2" });
  const wide = `https://127.0.0.2:${r.web.port()}/healthz`;
  const ask = () => fetch(wide, { client: r.client }).then((answer) => answer.text());
  assert.match(r.web.setupUrl()!, /^https:\/\/127\.0\.0\.1:\d+\/setup\?token=[\w-]{43}$/);
  await assert.rejects(ask);
  await r.web.look();
  assert.deepEqual(r.logged, []);
  r.clock.ms += 60 * 60_000;
  await r.web.look();
  assert.deepEqual(r.logged, [r.web.setupUrl()]); // the link was an hour old: the new one is said
  const token = new URL(r.web.setupUrl()!).searchParams.get("token")!;
  const ann = { name: "ann", password: PASSWORD, language: null };
  await r.access.setup.redeem(token, ann, { address: "127.0.0.1", agent: "" });
  await r.web.look();
  assert.equal(r.web.setupUrl(), null);
  assert.equal(await ask(), "ok\n");
});

Deno.test("pages, upgrades and HTTP/2 pass through the front, and who asks is known by the real address", async () => {
  await using r = await webRig();
  const cookie = await cookieOf(r);
  const answer = await fetch(`${r.url}/api/v1/vms`, { client: r.client, headers: { cookie } });
  assert.deepEqual(await answer.json(), { vms: [], by: "user:ann" });
  const session = r.access.sessions.list("ann", null)[0];
  assert.equal(session?.address, "127.0.0.1");

  const socket = new WebSocket(`wss://127.0.0.1:${r.web.port()}/api/v1/console`, {
    client: r.client,
    headers: { cookie, origin: r.url },
  });
  const said = Promise.withResolvers<string>();
  const closed = new Promise<void>((resolve) => socket.onclose = () => resolve());
  socket.onopen = () => socket.send("hello");
  socket.onmessage = ({ data }) => said.resolve(data);
  socket.onerror = (event) => said.reject(new Error((event as ErrorEvent).message));
  assert.equal(await said.promise, "you said hello");
  socket.close();
  await closed;
});

Deno.test("a channel that is open outlives the time that a connection may wait for its next request", async () => {
  const clock = { ms: 0 };
  await using r = await webRig({ nowMs: () => clock.ms });
  const cookie = await cookieOf(r);
  // One that waits, opened first: when it is closed, all who had to go were looked at.
  const waits = await Deno.connectTls({ hostname: "127.0.0.1", port: r.web.port(), caCerts: [r.ca] });
  await waits.write(new TextEncoder().encode("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"));
  const socket = new WebSocket(`wss://127.0.0.1:${r.web.port()}/api/v1/console`, {
    client: r.client,
    headers: { cookie, origin: r.url },
  });
  let said = Promise.withResolvers<string>();
  socket.onopen = () => socket.send("one");
  socket.onmessage = ({ data }) => said.resolve(data);
  socket.onclose = () => said.reject(new Error("closed"));
  assert.equal(await said.promise, "you said one");
  const buffer = new Uint8Array(65536);
  let answer = "";
  while (!answer.endsWith("ok\n")) {
    answer += new TextDecoder().decode(buffer.subarray(0, await waits.read(buffer) ?? 0));
  }
  said = Promise.withResolvers<string>();
  said.promise.catch(() => {}); // looked at below
  clock.ms += 5 * 60_000;
  let left: number | null = 1;
  while (left !== null) left = await waits.read(buffer).catch(() => null);
  waits.close();
  socket.send("two");
  assert.equal(await said.promise, "you said two");
  const closed = new Promise<void>((resolve) => socket.onclose = () => resolve());
  socket.close();
  await closed;
});

Deno.test("the server behind the front answers nobody who did not come through it", async () => {
  await using r = await webRig();
  await fetch(`${r.url}/healthz`, { client: r.client }).then((answer) => answer.text());
  const behind = [
    ...Deno.readTextFileSync("/proc/net/tcp").matchAll(/0100007F:([0-9A-F]{4}) 00000000:0000 0A/g),
  ]
    .map((match) => Number.parseInt(match[1]!, 16));
  assert.ok(behind.includes(r.web.port()));
  let refused = 0;
  for (const port of behind.filter((each) => each !== r.web.port())) {
    const said = await fetch(`https://127.0.0.1:${port}/healthz`, { client: r.client }).then(
      (answer) => answer.text(),
      () => "",
    );
    assert.notEqual(said, "ok\n");
    if (said === "Not by this door.\n") refused++;
  }
  assert.ok(refused >= 1);
});

Deno.test("whoever may open the unix socket is the local administrator, and nobody else may open it", async () => {
  await using r = await webRig();
  const path = `${r.directory}/../access/s`;
  assert.equal(Deno.statSync(path).mode! & 0o777, 0o600);
  const conn = await Deno.connect({ transport: "unix", path });
  await conn.write(
    new TextEncoder().encode("GET /api/v1/session HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
  );
  const answer = await new Response(conn.readable).text();
  assert.match(answer, /"kind":"local","name":"local","role":"administrator","fresh":true/);
});

Deno.test("a certificate of the user's is taken up without a restart, and one that is no good leaves the last", async () => {
  await using r = await webRig();
  const before = r.web.certificate();
  assert.equal(before.kind, "self");
  assert.match(before.fingerprint, /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
  assert.equal(Deno.statSync(`${r.directory}/self.pem`).mode! & 0o777, 0o600);
  const other = makeCertifiedKey(["127.0.0.1"]);
  Deno.writeTextFileSync(`${r.directory}/cert.pem`, other.certificate);
  await r.web.look();
  assert.equal(r.web.certificate().fingerprint, before.fingerprint); // without its key
  assert.match(r.logged.join("\n"), /cannot be read as a certificate and a key/);
  Deno.writeTextFileSync(`${r.directory}/key.pem`, makeCertifiedKey().key);
  await r.web.look();
  assert.match(r.logged.at(-1)!, /is not the certificate's; the certificate stays as it is/);
  Deno.writeTextFileSync(`${r.directory}/key.pem`, other.key);
  await r.web.look();
  assert.equal(r.web.certificate().kind, "own");
  const answer = await raw(
    { web: r.web, ca: other.certificate },
    "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
  );
  assert.equal(statusOf(answer), "200");
  await assert.rejects(raw(r, "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")); // the old one is gone
});

Deno.test("a service that starts takes the place of a socket that a dead one left, and of no live one", async () => {
  await using r = await webRig();
  const path = `${r.directory}/../access/s`;
  const { listenWeb } = await import("../../../ui/listen.ts");
  const { appOf } = await import("./kit.ts");
  const again = () =>
    listenWeb({
      app: appOf(r.access),
      access: r.access,
      listen: { hostname: "127.0.0.1", port: 0 },
      certificates: { directory: r.directory, make: makeCertifiedKey, names: () => [] },
      socket: path,
      nowMs: () => performance.now(),
      log() {},
    });
  await assert.rejects(again(), /in use/);
  await r.web[Symbol.asyncDispose]();
  const left = Deno.listen({ transport: "unix", path });
  left.close();
  await using _second = await again();
  assert.ok(Deno.statSync(path).isSocket);
});

Deno.test("another user of the machine is not taken for a client, even with the port that a client's bytes come from", async () => {
  using backend = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using front = new Front({
    backend: () => backend.addr.port,
    limits: CONNECTION_LIMITS,
    nowMs: () => 0,
    log() {},
  });
  await using door = front.listen({ hostname: "127.0.0.1", port: 0 });
  using client = await Deno.connect({ hostname: "127.0.0.1", port: door.address.port });
  await client.write(new Uint8Array([1]));
  using behind = await backend.accept();
  await behind.read(new Uint8Array(1));
  const { port } = behind.remoteAddr;
  assert.equal(front.through({ hostname: "127.0.0.2", port }), null);
  const through = front.through({ hostname: "127.0.0.1", port });
  assert.equal(through?.address, "127.0.0.1");
  through?.ended();
});
