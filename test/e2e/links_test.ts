/** The replication lines are cut, damaged or slow: FAULTS.md rows 5, 15 and 28. */

import assert from "node:assert/strict";
import type { Lab } from "../../lib/lab/lab.ts";
import type { RunnerEvent } from "../../lib/lab/pair.ts";
import { ADDRESSES } from "../../lib/lab/places.ts";
import { runCommand } from "../../lib/lab/command.ts";
import { brokenPromises, differences, next, pause, reached, Scene } from "./kit.ts";
import type { Damage } from "./damaging_proxy.ts";

/** Every change of either host's part since a moment. */
function watchRoles(scene: Scene): () => RunnerEvent[] {
  const before = new Set([...scene.pair.runners.values()].flatMap((runner) => runner.events));
  return () =>
    [...scene.pair.runners.values()].flatMap((runner) => runner.events)
      .filter((event) => !before.has(event) && event.event === "state");
}

function active(link: number) {
  return (event: RunnerEvent) => event.event === "active" && event["link"] === link;
}

Deno.test("link A is cut and mended: the data moves to B and back, and nobody's part changes", async () => {
  const { scene, client } = await Scene.counting();
  await using _ = scene;
  const primary = scene.pair.runner("a");
  const roles = watchRoles(scene);
  const toB = next(primary, active(1));
  const alarm = next(primary, (event) => event.event === "alarm" && event["code"] === "link");
  await scene.lab.cutLink("a");
  await toB();
  await alarm();
  assert.ok(await client.answered(100), "the guest does not answer over link B");
  assert.deepEqual(differences(await scene.verify("a")), []);
  const back = next(primary, active(0));
  await scene.lab.mendLink("a");
  await back();
  assert.ok(await client.answered(100), "the guest does not answer over link A");
  assert.deepEqual(differences(await scene.verify("a")), []);
  assert.deepEqual(roles(), []);
  // The control: with both lines cut the same watch sees that protection ends.
  const deciding = next(primary, reached("deciding"));
  await scene.lab.cutLink("a");
  await scene.lab.cutLink("b");
  await deciding();
  assert.notDeepEqual(roles(), []);
  const again = next(primary, reached("protected"));
  await scene.lab.mendLink("a");
  await again();
  assert.deepEqual(brokenPromises(await client.stop()), []);
});

/** Link A goes through the proxy: who connects to it on host B gets the proxy, which alone reaches host A. */
async function proxyLinkA(lab: Lab): Promise<Proxy> {
  const group = "65534";
  const rule = `meta skgid != ${group} ip daddr ${ADDRESSES.links.a.a} tcp dport 7800 redirect to :9800`;
  await runCommand(["ip", "netns", "exec", lab.namespace("b"), "nft", "-f", "-"], {
    op: "lead link A through a proxy",
    stdin:
      `add table ip detour\nadd chain ip detour out { type nat hook output priority -100; }\nadd rule ip detour out ${rule}\n`,
  });
  const path = new URL("damaging_proxy.ts", import.meta.url).pathname;
  const command = [
    ...["setpriv", `--regid=${group}`, "--clear-groups"],
    ...[Deno.execPath(), "run", "--allow-net", "--no-prompt", path, "9800", `${ADDRESSES.links.a.a}:7800`],
  ];
  const proxy = new Proxy(lab, command);
  await proxy.says("ready");
  return proxy;
}

class Proxy implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: string[] = [];
  readonly #waiting = new Set<() => void>();
  readonly #reading: Promise<void>;

  constructor(lab: Lab, command: string[]) {
    this.#child = lab.exec("b", command, { stdin: "piped", stdout: "piped", stderr: "inherit" });
    this.#input = this.#child.stdin.getWriter();
    this.#reading = this.#read();
  }

  async says(line: string): Promise<void> {
    const from = Date.now();
    while (!this.#lines.includes(line)) {
      if (Date.now() - from > 20_000) throw new Error(`the proxy did not say ${line}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 20_000);
        this.#waiting.add(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** Resolves when it is done. */
  async damage(what: Damage, direction: "up" | "down"): Promise<void> {
    this.#lines.length = 0;
    await this.#input.write(new TextEncoder().encode(`${what} ${direction}\n`));
    await this.says(`${what} ${direction}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#reading;
    await this.#input.close().catch(() => {});
    await this.#child.status;
  }

  async #read(): Promise<void> {
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      this.#lines.push(...text.split("\n").filter((line) => line !== ""));
      for (const wake of [...this.#waiting]) wake();
      this.#waiting.clear();
    }
  }
}

const KINDS: readonly Damage[] = ["flip", "truncate", "duplicate", "reorder"];
/** What a line says that was dropped because of what came over it, rather than because of the other end. */
const REFUSED = /failed a check/;

/** Lines that a host dropped because of what came over them. */
function refusals(events: readonly RunnerEvent[]): RunnerEvent[] {
  return events.filter((event) => event.event === "link" && REFUSED.test(String(event["reason"])));
}

Deno.test("bytes flipped, truncated, duplicated, reordered are refused; the line is made again, and nothing is applied", async (t) => {
  await using scene = await Scene.open();
  await using proxy = await proxyLinkA(scene.lab);
  await scene.protect();
  const client = await scene.client();
  const roles = watchRoles(scene);
  assert.ok(await client.answered(100));
  await scene.pair.runner("a").event(active(0)); // at first whichever was up first
  assert.deepEqual(differences(await scene.verify("a")), []);
  // The control: through a proxy that does no damage nothing is refused.
  for (const host of ["a", "b"] as const) assert.deepEqual(refusals(scene.pair.runner(host).events), []);
  for (const direction of ["down", "up"] as const) {
    // Host B connects: what the primary sends comes down, what the backup answers goes up.
    const victim = scene.pair.runner(direction === "down" ? "b" : "a");
    const primary = scene.pair.runner("a");
    for (const kind of KINDS) {
      const went = await t.step(
        `${kind}, ${direction === "down" ? "to the backup" : "to the primary"}`,
        async () => {
          const refused = next(victim, (event) => refusals([event]).length > 0);
          const back = next(primary, active(0));
          await proxy.damage(kind, direction);
          await refused();
          await back();
          assert.ok(await client.answered(50), "the guest does not answer afterwards");
        },
      );
      if (!went) return;
    }
  }
  assert.deepEqual(differences(await scene.verify("a")), []);
  assert.deepEqual(roles(), []);
  assert.deepEqual(brokenPromises(await client.stop()), []);
});

/** Epochs on their way and both runners' own memory, looked at again and again. */
interface Pressure {
  inflight: number;
  anonymous_mib: Record<"a" | "b", number[]>;
}

async function watchPressure(scene: Scene, looks: number): Promise<Pressure> {
  const seen: Pressure = { inflight: 0, anonymous_mib: { a: [], b: [] } };
  for (let i = 0; i < looks; i++) {
    await pause(60);
    seen.inflight = Math.max(seen.inflight, (await scene.status("a")).engine.inflight);
    for (const host of ["a", "b"] as const) {
      const status = Deno.readTextFileSync(`/proc/${scene.pair.runner(host).child.pid}/status`);
      seen.anonymous_mib[host].push(Number(/RssAnon:\s+(\d+) kB/.exec(status)?.[1]) / 1024);
    }
  }
  return seen;
}

/** A guest that dirties more than its lines take. */
const HEAVY = { dirty: 1500, fill: "random", write: 0 } as const;

async function slowLines(scene: Scene): Promise<void> {
  for (const link of ["a", "b"] as const) await scene.lab.shapeLink(link, { rate_mbit: 20 });
}

Deno.test("lines far too slow for what the guest dirties push it back: queues and memory stay bounded, nothing is lost", async () => {
  const hostToml = "[rhythm]\ninflight = 3\nstall_ms = 20000\n";
  const { scene, client } = await Scene.counting({ hostToml }, HEAVY);
  await using _ = scene;
  assert.ok(await client.answered(5));
  await slowLines(scene);
  const early = await watchPressure(scene, 60);
  const late = await watchPressure(scene, 60);
  assert.equal((await scene.status("a")).phase, "protected");
  const inflight = Math.max(early.inflight, late.inflight);
  assert.ok(inflight >= 2 && inflight <= 3, `${inflight} epochs were on their way; the bound is 3`);
  // Three epochs and two stages of all of the pool's 32 MiB are the bound; what comes later adds nothing.
  for (const host of ["a", "b"] as const) {
    const most = (pressure: Pressure) => Math.max(...pressure.anonymous_mib[host]);
    const grew = `memory on host ${host} grew from ${most(early)} to ${most(late)} MiB`;
    assert.ok(most(late) < most(early) + 64, grew);
  }
  const promoted = next(scene.pair.runner("b"), reached("solo"));
  await scene.lab.powerOff("a");
  await promoted();
  assert.ok(await client.answered(5), "the guest does not answer after the takeover");
  const summary = await client.stop();
  assert.equal(summary.lost, 0);
  assert.equal(summary.connection, "survived");
  assert.equal(summary.memory?.ok, true);
});

Deno.test("control: with a bound of 12 epochs the same pressure puts more than 3 on their way", async () => {
  const { scene, client } = await Scene.counting(
    { hostToml: "[rhythm]\ninflight = 12\nstall_ms = 20000\ndirty_pages = 200\nmax_epoch_ms = 5\n" },
    HEAVY,
  );
  await using _ = scene;
  assert.ok(await client.answered(5));
  await slowLines(scene);
  assert.ok((await watchPressure(scene, 60)).inflight > 3);
});
