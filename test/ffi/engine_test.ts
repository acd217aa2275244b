import assert from "node:assert/strict";
import { Engine, EngineError, EngineLibrary } from "../../ffi/engine.ts";
import { type EngineEvent, engineEvents } from "../../ffi/events.ts";
import { ABI, MODES, STATUS_BYTES, STATUS_FIELDS, StatusPage } from "../../ffi/status.ts";
import type { EngineCalls } from "../../ffi/symbols.ts";
import { assets } from "../../lib/cli/assets.ts";
import { EdgeError } from "../../lib/errors.ts";

const LIBRARY = Deno.env.get("ISERVFT_LIBRARY") ?? assets().library;
const secret = (byte = 7) => new Uint8Array(32).fill(byte);

/** A directory, the library, and what is made with them: all gone at the end. */
async function rig() {
  const dir = await Deno.makeTempDir({ prefix: "isf" });
  const library = EngineLibrary.open(LIBRARY);
  const engines: Engine[] = [];
  return {
    dir,
    library,
    engine(name = "a", key = secret()): Engine {
      Deno.mkdirSync(`${dir}/${name}`, { recursive: true });
      const engine = new Engine({ library, runDir: `${dir}/${name}`, secret: key });
      engines.push(engine);
      return engine;
    },
    async [Symbol.asyncDispose]() {
      for (const engine of engines) await engine.close();
      library[Symbol.dispose]();
      await Deno.remove(dir, { recursive: true });
    },
  };
}

function engineError(code: number | "negative", hint: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof EngineError, String(error));
    if (code !== "negative") assert.equal(error.code, code);
    assert.ok(error.code < 0 && error.message.length > 5 && error.op.length > 5);
    assert.match(error.hint, hint);
    return true;
  };
}

Deno.test("a new engine is idle, its status page reads, and after its end keeps its last values", async () => {
  await using at = await rig();
  const engine = at.engine();
  assert.equal(engine.status.get("mode"), MODES.IDLE);
  engine.say({ generation: 3, term: 2 ** 40 + 1, epoch: 0, role: 1, flags: 0 });
  const before = engine.status.read();
  assert.deepEqual(before.link_up, [0, 0]);
  await engine.close();
  assert.equal(engine.status.read().mode, before.mode);
  assert.throws(() => engine.hold(), engineError(-9, /^$/));
  await engine.close();
});

Deno.test("a second engine in the same place is refused", async () => {
  await using at = await rig();
  at.engine();
  assert.throws(() => at.engine(), (error) => error instanceof EngineError && error.code === -17);
});

Deno.test("the guest's memory is a descriptor of the asked size", async () => {
  await using at = await rig();
  const fd = at.engine().memoryNew(8 << 20);
  assert.equal((await Deno.stat(`/proc/self/fd/${fd}`)).size, 8 << 20);
  assert.throws(() => at.engine("b").memoryNew(4097), engineError(-22, /./));
});

Deno.test("a disk is served, and one that is missing is an error that says what to do", async () => {
  await using at = await rig();
  const engine = at.engine();
  const disk = (image: string) => ({
    name: "disk0",
    image: `${at.dir}/${image}`,
    statePrefix: `${at.dir}/state`,
    socket: `${at.dir}/disk0.sock`,
  });
  await assert.rejects(engine.diskAdd(disk("missing.img")), engineError(-2, /missing\.img/));
  await Deno.writeFile(`${at.dir}/disk.img`, new Uint8Array(1 << 20));
  assert.equal(await engine.diskAdd(disk("disk.img")), 0);
  assert.equal(engine.diskBytes(0), 1 << 20);
  assert.ok((await Deno.lstat(`${at.dir}/disk0.sock`)).isSocket);
});

Deno.test("a bridge that does not exist is an error that names it", async () => {
  await using at = await rig();
  const nic = { tap: "isfnone0", bridge: "isf-no-bridge", socket: `${at.dir}/nic.sock` };
  assert.throws(() => at.engine().nicAdd(nic), engineError("negative", /isf-no-bridge/));
});

Deno.test("calls that do not fit the engine's state are refused, and change nothing", async () => {
  await using at = await rig();
  const engine = at.engine();
  for (
    const call of [
      () => engine.sync({ generation: 1, term: 1, changedOnly: false }),
      () => engine.handover(),
      () => engine.promote({ term: 1, gaveWay: false }),
      () => engine.verify(),
    ]
  ) assert.throws(call, (error) => error instanceof EngineError && error.is("ESTATE"));
  assert.equal(engine.status.get("mode"), MODES.IDLE);
});

Deno.test("two engines find each other, hear each other's word, and pass messages", async () => {
  await using at = await rig();
  const give = new AbortController();
  const seen: Record<string, EngineEvent[]> = { a: [], b: [] };
  const readings: Promise<void>[] = [];
  const engines = ["a", "b"].map((name, index) => {
    const engine = at.engine(name);
    readings.push((async () => {
      for await (const event of engineEvents(`${at.dir}/${name}`, give.signal)) seen[name]?.push(event);
    })());
    const [local, peer] = index === 0 ? ["127.0.71.1", "127.0.71.2"] : ["127.0.71.2", "127.0.71.1"];
    engine.linkAdd({ index: 0, local, peer, port: 17800, listen: index === 0 });
    engine.heartbeatPath({ index: 0, local, peer, port: 17810 });
    engine.heartbeatStart({ intervalUs: 10_000, silenceUs: 500_000, reference: "", lan: "" });
    return engine;
  });
  const [a, b] = engines as [Engine, Engine];
  const until = async (name: string, wanted: (event: EngineEvent) => boolean) => {
    for (let i = 0; i < 2000; i++) {
      const found = seen[name]?.find(wanted);
      if (found !== undefined) return found;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error(`${name} saw only ${JSON.stringify(seen[name])}`);
  };
  a.say({ generation: 3, term: 5, epoch: 0, role: 2, flags: 4 });
  const word = await until("b", (event) => event.event === "word" && event.term === 5);
  assert.deepEqual({ ...word, t_us: 0, epoch: 0 }, {
    event: "word",
    t_us: 0,
    generation: 3,
    term: 5,
    epoch: 0,
    role: 2,
    flags: 4,
  });
  await until("a", (event) => event.event === "link" && event.up);
  await until("b", (event) => event.event === "link" && event.up);
  const message = { kind: "invite", text: 'with "quotes", \\ and ünïcode\n', list: [1, 2, 3] };
  b.control(message);
  const heard = await until("a", (event) => event.event === "control");
  assert.deepEqual(heard.event === "control" && heard.message, message);
  give.abort();
  await Promise.all(readings);
});

Deno.test("a library of another build is refused with what to do", () => {
  for (const [abi, size] of [[ABI + 1, STATUS_BYTES], [ABI, STATUS_BYTES + 8]]) {
    const calls = { isf_abi: () => abi, isf_status_size: () => size } as unknown as EngineCalls;
    assert.throws(() => new EngineLibrary(calls, { path: "x.so" }), (error) => {
      assert.ok(error instanceof EdgeError);
      assert.match(error.hint, /same build/);
      return true;
    });
  }
  assert.throws(() => EngineLibrary.open("/nowhere.so"), /cannot be loaded/);
});

/** An engine over functions of the test's own: a slow call that is under way until it is told to end. */
function slowEngine() {
  const page = new ArrayBuffer(STATUS_BYTES);
  const under = Promise.withResolvers<number>();
  const freed: string[] = [];
  const calls = {
    isf_abi: () => ABI,
    isf_status_size: () => STATUS_BYTES,
    isf_engine_new: (_: unknown, __: unknown, out: BigUint64Array) => {
      out[0] = 4096n;
      return 0;
    },
    isf_status_page: () => Deno.UnsafePointer.of(new Uint8Array(page)),
    isf_qemu_detach: () => under.promise,
    isf_engine_free: () => Promise.resolve(freed.push("free")),
    isf_error_text: () => 0,
    isf_problem: () => 0,
  } as unknown as EngineCalls;
  const library = new EngineLibrary(calls, { path: "test", close: () => freed.push("library") });
  return { engine: new Engine({ library, runDir: "/x", secret: secret() }), library, under, freed, page };
}

Deno.test("an engine is never freed while a call is under way", async () => {
  const { engine, library, under, freed, page } = slowEngine();
  const detaching = engine.qemuDetach();
  const closing = engine.close();
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(freed, []);
  assert.throws(() => library[Symbol.dispose](), /1 engine\(s\) still use the library/);
  assert.throws(() => engine.hold(), EngineError);
  under.resolve(0);
  await detaching;
  await closing;
  assert.deepEqual(freed, ["free"]);
  library[Symbol.dispose]();
  assert.deepEqual(freed, ["free", "library"]);
  assert.equal(page.byteLength, STATUS_BYTES);
});

Deno.test("a failed slow call is an error with its code, also without any text", async () => {
  const { engine, under } = slowEngine();
  under.resolve(-10006);
  await assert.rejects(engine.qemuDetach(), (error) => error instanceof EngineError && error.is("EQEMU"));
  await engine.close();
});

Deno.test("each field of the status page is read from its own place", () => {
  const words = new BigUint64Array(STATUS_BYTES / 8).map((_, index) => BigInt(index + 1));
  const status = new StatusPage(words.buffer).read();
  const flat = STATUS_FIELDS.flatMap(([name]) => status[name]);
  assert.deepEqual(flat, Array.from(words, Number));
});
