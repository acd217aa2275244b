import assert from "node:assert/strict";
import { Hono } from "hono";
import type { Principal } from "../../lib/model/access.ts";
import type { Backend, Duplex } from "../../lib/model/backend.ts";
import { ProblemError } from "../../lib/model/problem.ts";
import { CLOSE, LIMITS } from "../../ui/console/bridge.ts";
import { consoleEndpoints } from "../../ui/console/endpoint.ts";
import type { Env, WebDeps } from "../../ui/deps.ts";

const ANN: Principal = { kind: "user", name: "user:ann", role: "operator", fresh: true, language: "en" };

/** A console whose VM side is in the test's hands. */
interface VmSide {
  duplex: Duplex;
  disposed: Promise<void>;
}

/** Says back what it hears. */
function echo(): VmSide {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const { promise, resolve } = Promise.withResolvers<void>();
  const duplex: Duplex = {
    readable,
    writable,
    async [Symbol.asyncDispose]() {
      await Promise.allSettled([readable.cancel(), writable.abort()]);
      resolve();
    },
  };
  return { duplex, disposed: promise };
}

interface Stage extends AsyncDisposable {
  url: string;
  setPrincipal(principal: Principal | null): void;
  /** Says that it may have changed. */
  told(): void;
}

function stage(
  openConsole: Backend["vm"]["openConsole"],
  options: { maximum?: number; session_ms?: number } = {},
): Stage {
  const listeners = new Set<() => void>();
  const onChange = (listener: () => void) => {
    listeners.add(listener);
    return { [Symbol.dispose]: () => void listeners.delete(listener) };
  };
  let principal: Principal | null = ANN;
  const deps = { backend: { vm: { openConsole } }, version: "0", nowMs: Date.now } as unknown as WebDeps;
  const app = new Hono<Env>();
  app.use(async (c, next) => (c.set("principal", principal), await next()));
  app.onError((error, c) => c.text(error.message, error instanceof ProblemError ? 403 : 500));
  const limits = { ...LIMITS, session_ms: options.session_ms ?? 20, drain_ms: 5 };
  app.route("/", consoleEndpoints(deps, { recheck: () => principal, onChange, limits, ...options }));
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, app.fetch);
  return {
    url: `ws://127.0.0.1:${server.addr.port}/api/v1/vms/press-1/console`,
    setPrincipal: (next) => principal = next,
    told: () => listeners.forEach((listener) => listener()),
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** A client: what came, as it came, and how it ended. */
class Client {
  readonly socket: WebSocket;
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly texts: string[] = [];
  bytes = 0;
  last: Uint8Array = new Uint8Array();
  #changed: (() => void)[] = [];

  constructor(url: string) {
    this.socket = new WebSocket(url);
    this.socket.binaryType = "arraybuffer";
    this.closed = new Promise((resolve) => {
      this.socket.addEventListener("close", (e) => resolve({ code: e.code, reason: e.reason }));
      this.socket.addEventListener("error", () => {});
    });
    this.socket.addEventListener("message", ({ data }) => {
      if (typeof data === "string") this.texts.push(data);
      else {
        this.last = new Uint8Array(data);
        this.bytes += data.byteLength;
      }
      for (const tell of this.#changed.splice(0)) tell();
    });
  }

  async opened(): Promise<this> {
    await new Promise((resolve, reject) => {
      this.socket.addEventListener("open", resolve);
      this.socket.addEventListener("close", () => reject(new Error("it was closed")));
    });
    return this;
  }

  async until(done: () => boolean): Promise<void> {
    while (!done()) await new Promise<void>((resolve) => this.#changed.push(resolve));
  }
}

Deno.test("a serial console carries bytes both ways and says how many it took", async () => {
  const vm = echo();
  const asked: string[] = [];
  await using server = stage((name, kind) => (asked.push(`${name} ${kind}`), Promise.resolve(vm.duplex)));
  const client = await new Client(`${server.url}/serial`).opened();
  client.socket.send(new Uint8Array([0, 255, 27, 10]));
  await client.until(() => client.bytes === 4 && client.texts.length === 2);
  assert.deepEqual([...client.last], [0, 255, 27, 10]);
  assert.deepEqual(client.texts, ['{"taken":0}', '{"taken":4}']);
  assert.deepEqual(asked, ["press-1 serial"]);
  client.socket.close();
  await client.closed;
  await vm.disposed;
});

Deno.test("a screen gets binary frames only: its client knows no others", async () => {
  const vm = echo();
  await using server = stage(() => Promise.resolve(vm.duplex));
  const client = await new Client(`${server.url}/screen`).opened();
  client.socket.send(new Uint8Array(100_000));
  await client.until(() => client.bytes === 100_000);
  assert.deepEqual(client.texts, []);
  client.socket.close();
  await client.closed;
  await vm.disposed;
});

Deno.test("logging out ends an open console, and the VM's side with it", async () => {
  const vm = echo();
  await using server = stage(() => Promise.resolve(vm.duplex));
  const client = await new Client(`${server.url}/serial`).opened();
  server.setPrincipal(null);
  assert.equal((await client.closed).code, CLOSE.session);
  await vm.disposed;
});

Deno.test("a console of somebody who is made a viewer ends", async () => {
  const vm = echo();
  await using server = stage(() => Promise.resolve(vm.duplex));
  const client = await new Client(`${server.url}/screen`).opened();
  server.setPrincipal({ ...ANN, role: "viewer" });
  assert.equal((await client.closed).code, CLOSE.session);
  await vm.disposed;
});

Deno.test("a console ends at once when the accounts tell that its session ended", async () => {
  const vm = echo();
  await using server = stage(() => Promise.resolve(vm.duplex), { session_ms: 3600_000 });
  const client = await new Client(`${server.url}/serial`).opened();
  server.told();
  client.socket.send(new Uint8Array(4));
  await client.until(() => client.bytes === 4);
  server.setPrincipal({ ...ANN, role: "viewer" });
  server.told();
  assert.equal((await client.closed).code, CLOSE.session);
  await vm.disposed;
});

Deno.test("a console stays while its session does", async () => {
  const vm = echo();
  await using server = stage(() => Promise.resolve(vm.duplex));
  const client = await new Client(`${server.url}/serial`).opened();
  // Ten round trips take longer than several looks at the session.
  for (let round = 1; round <= 10; round++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    client.socket.send(new Uint8Array([round]));
    await client.until(() => client.bytes === round);
  }
  assert.equal(client.socket.readyState, WebSocket.OPEN);
  client.socket.close();
  await client.closed;
  await vm.disposed;
});

Deno.test("nobody and viewers are refused before the upgrade, and the VM is not asked", async () => {
  let asked = 0;
  await using server = stage(() => (asked++, Promise.resolve(echo().duplex)));
  for (const principal of [null, { ...ANN, role: "viewer" as const }]) {
    server.setPrincipal(principal);
    const client = new Client(`${server.url}/serial`);
    await assert.rejects(client.opened());
  }
  const plain = await fetch(`${server.url}/serial`.replace("ws:", "http:"));
  assert.equal(plain.status, 403);
  await plain.body?.cancel();
  assert.equal(asked, 0);
});

Deno.test("what the VM's side refuses is said in the close reason, within its 123 bytes", async () => {
  await using server = stage(() => {
    throw new ProblemError("conflict", { detail: "鋼".repeat(200), hint: "" });
  });
  const client = await new Client(`${server.url}/screen`).opened();
  const { code, reason } = await client.closed;
  assert.equal(code, CLOSE.problem);
  assert.equal(reason, "鋼".repeat(40));
});

Deno.test("a VM that ends closes its console as ended", async () => {
  const vm = echo();
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  await using server = stage(() => Promise.resolve({ ...vm.duplex, readable }));
  const client = await new Client(`${server.url}/serial`).opened();
  await writable.close();
  assert.equal((await client.closed).code, CLOSE.ended);
  await vm.disposed;
});

Deno.test("more than a VM takes is refused by a close, not kept", async () => {
  const vm = echo();
  const stuck = new WritableStream<Uint8Array>({ write: () => new Promise(() => {}) }, { highWaterMark: 1 });
  await using server = stage(() => Promise.resolve({ ...vm.duplex, writable: stuck }));
  const client = await new Client(`${server.url}/serial`).opened();
  for (let sent = 0; sent <= LIMITS.queue_bytes; sent += 65536) client.socket.send(new Uint8Array(65536));
  assert.equal((await client.closed).code, CLOSE.too_much);
  await vm.disposed;
});

Deno.test("a VM that talks without end is read only as fast as the browser takes it", async () => {
  const vm = echo();
  let made = 0;
  const endless = new ReadableStream<Uint8Array>({
    pull(controller) {
      controller.enqueue(new Uint8Array(65536));
      made += 65536;
    },
  }, { highWaterMark: 0 });
  await using server = stage(() => Promise.resolve({ ...vm.duplex, readable: endless }));
  // A client of TCP that shakes hands and then reads nothing.
  const { hostname, port, pathname } = new URL(`${server.url}/screen`);
  using connection = await Deno.connect({ hostname, port: Number(port) });
  const request = `GET ${pathname} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nUpgrade: websocket\r\n` +
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  await connection.write(new TextEncoder().encode(request));
  await connection.read(new Uint8Array(16));
  let before = -1;
  while (before !== made) {
    before = made;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.ok(made > LIMITS.ahead_bytes / 2, `${made} bytes were sent`);
  assert.ok(made < 32 << 20, `${made} bytes were read from the VM for a browser that took none`);
  connection.close();
  await vm.disposed;
});

Deno.test("the number of consoles is bounded, and one that closed makes room", async () => {
  const sides = [echo(), echo()];
  let next = 0;
  await using server = stage(() => Promise.resolve(sides[next++]!.duplex), { maximum: 1 });
  const first = await new Client(`${server.url}/serial`).opened();
  first.socket.send(new Uint8Array([1]));
  await first.until(() => first.bytes === 1);
  await assert.rejects(new Client(`${server.url}/serial`).opened());
  first.socket.close();
  await sides[0]!.disposed;
  const second = await new Client(`${server.url}/serial`).opened();
  second.socket.close();
  await second.closed;
  await sides[1]!.disposed;
});
