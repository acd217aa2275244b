import assert from "node:assert/strict";
import { CONNECTION_LIMITS, Connections } from "../../../ui/security/connections.ts";
import { BODY_LIMITS } from "../../../ui/security/body.ts";
import { makeCertifiedKey } from "../../../lib/node/certificate.ts";
import { rig, signIn, user } from "../../access/kit.ts";
import { appOf, raw, statusOf, type WebRig, webRig } from "./kit.ts";

const UNHURRIED = { ...CONNECTION_LIMITS, rate: { burst: 1e9, perSecond: 1e9, keys: 16 } };

/** Until it is so; bounded. */
async function until(what: () => boolean, said: string): Promise<void> {
  for (let i = 0; i < 1500; i++) {
    if (what()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(said);
}

/** Connections that do nothing more, in three ways. */
class Slow implements AsyncDisposable {
  readonly #ends: Promise<void>[] = [];
  readonly #conns: Deno.Conn[] = [];
  closed = 0;

  get opened(): number {
    return this.#conns.length;
  }

  async open(place: { port: number; ca: string }, count: number): Promise<void> {
    const head =
      `POST /login HTTP/1.1\r\nHost: 127.0.0.1:${place.port}\r\nContent-Type: application/x-www-form-urlencoded\r\n`;
    const texts = [
      "GET / HTTP/1.1\r\nHost: 127",
      `${head}Origin: https://127.0.0.1:${place.port}\r\nContent-Length: 90\r\n\r\nname=`,
    ];
    for (let i = 0; i < count; i++) {
      const text = texts[i % 3];
      const where = { hostname: "127.0.0.1", port: place.port };
      try {
        const conn = text === undefined
          ? await Deno.connect(where)
          : await Deno.connectTls({ ...where, caCerts: [place.ca] });
        this.#conns.push(conn);
        if (text !== undefined) await conn.write(new TextEncoder().encode(text));
        this.#ends.push(this.#watch(conn));
      } catch {
        this.closed++; // sent away at once
      }
    }
  }

  async #watch(conn: Deno.Conn): Promise<void> {
    try {
      while (await conn.read(new Uint8Array(512)) !== null);
    } catch {
      // reset: closed as well
    }
    this.closed++;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const conn of this.#conns) {
      try {
        conn.close();
      } catch {
        // it is
      }
    }
    await Promise.all(this.#ends);
  }
}

async function answered(r: WebRig): Promise<string> {
  return statusOf(await raw(r, `GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:${r.web.port()}\r\n\r\n`));
}

Deno.test("a thousand slow connections of one address are a few at a time, others are answered meanwhile, and all end", async () => {
  const clock = { ms: 0 };
  await using r = await webRig({ limits: UNHURRIED, nowMs: () => clock.ms });
  await using slow = new Slow();
  for (let i = 0; i < 10; i++) {
    await slow.open({ port: r.web.port(), ca: r.ca }, 100);
    assert.equal(await answered(r), "200");
    assert.ok(r.web.connections() <= UNHURRIED.perAddress, String(r.web.connections()));
  }
  // Those with half a body have a request; the others do not.
  await until(() => slow.closed >= 1000 - UNHURRIED.perAddress, `${slow.closed} closed`);
  clock.ms += CONNECTION_LIMITS.activeIdleMs;
  await until(() => r.web.connections() === 0, "some were kept");
});

Deno.test("negative control: Deno.serve by itself keeps every one of them", async () => {
  const { key, certificate } = makeCertifiedKey(["127.0.0.1"]);
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, cert: certificate, key, onListen() {} },
    async (request) => {
      await request.text().catch(() => {});
      return new Response("ok");
    },
  );
  await using slow = new Slow();
  const place = { port: server.addr.port, ca: certificate };
  await slow.open(place, CONNECTION_LIMITS.perAddress + 140);
  const web = { port: () => place.port } as WebRig["web"];
  assert.equal(statusOf(await raw({ web, ca: certificate }, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")), "200");
  assert.deepEqual([slow.closed, slow.opened], [0, CONNECTION_LIMITS.perAddress + 140]);
});

Deno.test("one address that comes too often is sent away at the door", async () => {
  const clock = { ms: 0 };
  await using r = await webRig({
    limits: { ...CONNECTION_LIMITS, rate: { burst: 20, perSecond: 1, keys: 16 } },
    nowMs: () => clock.ms,
  });
  await using slow = new Slow();
  await slow.open({ port: r.web.port(), ca: r.ca }, 60);
  await until(() => slow.closed >= 40, `${slow.closed} closed`);
  clock.ms += 2000;
  assert.equal(await answered(r), "200");
});

Deno.test("a body that does not come is not waited for", async () => {
  await using r = await webRig({
    app: (access, seen) => appOf(access, { bodyLimits: { ...BODY_LIMITS, ms: 50 } }, seen),
  });
  const origin = `https://127.0.0.1:${r.web.port()}`;
  const head =
    `Host: 127.0.0.1:${r.web.port()}\r\nOrigin: ${origin}\r\nContent-Type: application/json\r\nContent-Length: 50`;
  const answer = await raw(r, `POST /api/v1/session HTTP/1.1\r\n${head}\r\n\r\n{"name"`);
  assert.equal(statusOf(answer), "400");
  assert.match(answer, /was not there after 50 ms/);
});

Deno.test("strangers whose bodies do not come keep each other out, of one address, and nobody who is known", async () => {
  const limits = { ...BODY_LIMITS, strangersAtOnce: 3, strangersPerAddress: 2, atOnce: 1 };
  await using r = await rig();
  await user(r.access, "ann", "administrator");
  const { secret } = await signIn(r.access, "ann");
  const app = appOf(r.access, { bodyLimits: limits });
  const ends: ReadableStreamDefaultController[] = [];
  const post = (address: string, body: BodyInit, cookie?: string) =>
    app.request("https://localhost/api/v1/session", {
      method: "POST",
      headers: {
        "origin": "https://localhost",
        "content-type": "application/json",
        "transfer-encoding": "chunked",
        ...(cookie === undefined ? {} : { cookie }),
      },
      body,
    }, { peer: { kind: "tcp", address } });
  const never = () => new ReadableStream({ start: (controller) => void ends.push(controller) });
  const waiting = [post("192.0.2.1", never()), post("192.0.2.1", never()), post("192.0.2.2", never())];
  const wrong = JSON.stringify({ name: "ann", password: "wrong password" });
  assert.equal((await post("192.0.2.1", wrong)).status, 429);
  assert.equal((await post("192.0.2.3", wrong)).status, 429);
  assert.equal((await post("192.0.2.3", wrong, `__Host-iservft=${secret}`)).status, 401);
  for (const end of ends) end.close();
  assert.deepEqual((await Promise.all(waiting)).map(({ status }) => status), [400, 400, 400]);
  assert.equal((await post("192.0.2.1", wrong)).status, 401);
});

Deno.test("a client that takes nothing of its answer is let go", async () => {
  const clock = { ms: 0 };
  await using r = await webRig({ nowMs: () => clock.ms });
  const { secret } = await r.access.tokens.create({ name: "t", role: "viewer", days: null }, "local");
  const conn = await Deno.connectTls({ hostname: "127.0.0.1", port: r.web.port(), caCerts: [r.ca] });
  const head = `Host: 127.0.0.1:${r.web.port()}\r\nAuthorization: Bearer ${secret}`;
  await conn.write(new TextEncoder().encode(`GET /api/v1/large HTTP/1.1\r\n${head}\r\n\r\n`));
  // It is sent until everything on the way is full.
  let [before, same] = [-1, 0];
  await until(() => {
    same = before > 0 && before === r.seen.sent ? same + 1 : 0;
    before = r.seen.sent;
    return same === 20;
  }, "it was sent for ever");
  assert.equal(r.web.connections(), 1);
  clock.ms += CONNECTION_LIMITS.writeMs;
  await until(() => r.web.connections() === 0, "it was kept");
  conn.close();
});

Deno.test("the door's rule: new ones displace the oldest slow one of their own address first", () => {
  const clock = { ms: 0 };
  const closed: string[] = [];
  const limits = { ...UNHURRIED, unproven: 6, unprovenPerAddress: 3, perAddress: 4, total: 8 };
  const door = new Connections(limits, () => clock.ms);
  const admit = (name: string, address: string) => door.admit(address, () => closed.push(name));
  for (const name of ["a1", "a2", "a3", "a4"]) admit(name, "192.0.2.1");
  assert.deepEqual(closed, ["a1"]);
  for (const name of ["b1", "b2"]) admit(name, "192.0.2.2");
  admit("c1", "192.0.2.3");
  admit("d1", "192.0.2.4"); // six have no request yet: one of the busiest address goes
  assert.deepEqual(closed, ["a1", "a2"]);
  assert.equal(door.size, 6);
});

Deno.test("the door's rule: who is being answered is not displaced; when all are, new ones wait", () => {
  const clock = { ms: 0 };
  const closed: string[] = [];
  const door = new Connections({ ...UNHURRIED, perAddress: 2, total: 3 }, () => clock.ms);
  const admit = (name: string, address: string) => {
    const tracked = door.admit(address, () => closed.push(name));
    tracked?.began();
    return tracked;
  };
  const first = admit("a1", "192.0.2.1");
  admit("a2", "192.0.2.1");
  assert.equal(admit("a3", "192.0.2.1"), null);
  admit("b1", "192.0.2.2");
  assert.equal(admit("c1", "192.0.2.3"), null);
  first?.ended();
  assert.notEqual(admit("c2", "192.0.2.3"), null);
  assert.deepEqual(closed, ["a1"]);
});

Deno.test("the door's rule: each way to be slow has its time", () => {
  const clock = { ms: 0 };
  const closed: string[] = [];
  const door = new Connections(UNHURRIED, () => clock.ms);
  const admit = (name: string) =>
    door.admit(`192.0.2.${closed.length + door.size}`, (why) => closed.push(`${name}: ${why}`))!;
  admit("head");
  const idle = admit("idle");
  idle.began();
  idle.ended();
  const stream = admit("stream");
  stream.began();
  const stuck = admit("stuck");
  stuck.began();
  stuck.writing(true);
  const at = (ms: number) => {
    clock.ms = ms;
    stream.moved();
    door.sweep();
    return closed.splice(0).sort();
  };
  assert.deepEqual(at(9_999), []);
  assert.deepEqual(at(10_000), ["head: no request"]);
  assert.deepEqual(at(59_999), []);
  assert.deepEqual(at(60_000), ["idle: no request", "stuck: takes nothing"]);
  clock.ms += UNHURRIED.activeIdleMs;
  door.sweep();
  assert.deepEqual(closed, ["stream: idle"]);
});
