import assert from "node:assert/strict";
import { Notifier, socketAddress, watchdogPeriodMs } from "../../lib/node/sd_notify.ts";

type Receiver = { receive(): Promise<[Uint8Array, unknown]>; close(): void };

/** Where systemd would listen. */
function receiver(path: string): Receiver {
  const listen = (Deno as unknown as { listenDatagram: (options: unknown) => Receiver }).listenDatagram;
  return listen({ transport: "unixpacket", path });
}

async function next(from: Receiver): Promise<string> {
  return new TextDecoder().decode((await from.receive())[0]);
}

function environment(values: Record<string, string>): { get(name: string): string | undefined } {
  return { get: (name) => values[name] };
}

Deno.test("systemd is told of readiness, status and the end, by a socket with a path and by an abstract one", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "iservft-notify-" });
  try {
    const name = `iservft-test-${crypto.randomUUID()}`;
    for (
      const [told, address] of [[`${directory}/notify`, `${directory}/notify`], [
        `@${name}`,
        `\0${name}`,
      ]] as const
    ) {
      const systemd = receiver(address);
      try {
        const notifier = new Notifier({ environment: environment({ NOTIFY_SOCKET: told }) });
        await notifier.ready("2 VMs");
        await notifier.status("one\nMAINPID=1");
        await notifier.reloading();
        await notifier[Symbol.asyncDispose]();
        await notifier.status("too late");
        const heard = [await next(systemd), await next(systemd), await next(systemd), await next(systemd)];
        assert.deepEqual(heard, [
          "READY=1\nSTATUS=2 VMs",
          "STATUS=one MAINPID=1",
          "RELOADING=1",
          "STOPPING=1",
        ]);
        assert.equal(notifier.problem, null);
      } finally {
        systemd.close();
      }
    }
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("signs of life are sent while the service lives, and not when it says that it does not", async () => {
  const name = `iservft-test-${crypto.randomUUID()}`;
  const systemd = receiver(`\0${name}`);
  try {
    let alive = true;
    const values = { NOTIFY_SOCKET: `@${name}`, WATCHDOG_USEC: "20000", WATCHDOG_PID: String(Deno.pid) };
    let asked = 0;
    const stopped = Promise.withResolvers<void>();
    const notifier = new Notifier({
      environment: environment(values),
      alive: () => {
        asked++;
        if (!alive && asked > 5) stopped.resolve();
        return alive;
      },
    });
    await notifier.ready();
    assert.equal(await next(systemd), "READY=1");
    assert.equal(await next(systemd), "WATCHDOG=1");
    assert.equal(await next(systemd), "WATCHDOG=1");
    alive = false;
    asked = 0;
    await stopped.promise;
    await notifier.status("the last one");
    let heard = await next(systemd);
    for (let i = 0; i < 3 && heard === "WATCHDOG=1"; i++) heard = await next(systemd); // sent before it said no
    assert.equal(heard, "STATUS=the last one", "no sign of life came between");
    await notifier[Symbol.asyncDispose]();
  } finally {
    systemd.close();
  }
});

Deno.test("without systemd, or with one that is gone, the service goes on", async () => {
  const alone = new Notifier({ environment: environment({}) });
  await alone.ready();
  await alone[Symbol.asyncDispose]();
  assert.equal(alone.problem, null);
  const gone = new Notifier({ environment: environment({ NOTIFY_SOCKET: "/nonexistent/notify" }) });
  await gone.ready();
  assert.match(gone.problem ?? "", /was not told/);
  await gone[Symbol.asyncDispose]();
});

Deno.test("programs that the service starts do not speak for it", () => {
  const values = new Map([["NOTIFY_SOCKET", "/run/x"], ["WATCHDOG_USEC", "1000000"], ["HOME", "/root"]]);
  const notifier = new Notifier({ environment: values });
  assert.deepEqual([...values.keys()], ["HOME"]);
  return notifier[Symbol.asyncDispose]();
});

Deno.test("what the environment says is read as systemd means it", () => {
  assert.equal(socketAddress("/run/systemd/notify"), "/run/systemd/notify");
  assert.equal(socketAddress("@abc"), "\0abc");
  assert.throws(() => socketAddress("vsock:2:1"), /NOTIFY_SOCKET/);
  assert.equal(watchdogPeriodMs(environment({ WATCHDOG_USEC: "30000000" }), 7), 15_000);
  assert.equal(watchdogPeriodMs(environment({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "8" }), 7), null);
  assert.equal(watchdogPeriodMs(environment({ WATCHDOG_USEC: "soon" }), 7), null);
  assert.equal(watchdogPeriodMs(environment({}), 7), null);
});
