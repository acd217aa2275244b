/** `iservft-edge demo --ui`: two nodes on this machine, paired, with a protected VM, and their pages to look around in. */

import { Lab } from "../lab/lab.ts";
import { openDoor } from "../lab/door.ts";
import { LabNodes, NODE_NAMES, WEB_PORT } from "../lab/nodes.ts";
import { HOSTS } from "../lab/places.ts";
import { assets, guestKernel, selfCommand } from "./assets.ts";
import type { CommandIo } from "./command.ts";

const PORTS = { a: 18443, b: 28443 } as const;
const READY_MS = 120_000;
const USER = "demo";

/** A password that can be typed, and nobody has to remember. */
function password(): string {
  const letters = "abcdefghjkmnpqrstuvwxyz23456789";
  const random = crypto.getRandomValues(new Uint8Array(16));
  return [...random].map((byte, index) =>
    (index % 4 === 0 && index > 0 ? "-" : "") + letters[byte % letters.length]
  ).join("");
}

/** Builds it, says where it is, and keeps it until SIGINT or SIGTERM. */
export async function showPages(io: CommandIo, options: { id: string; until: AbortSignal }): Promise<number> {
  const directory = await Deno.makeTempDir({ prefix: "iservft-demo-" });
  const secret = password();
  try {
    io.out("iservft-edge demo: two nodes, and the page of each\n");
    await using lab = await Lab.up({ id: options.id });
    await using nodes = await LabNodes.create({
      lab,
      directory,
      self: selfCommand(),
      kernel: guestKernel(),
      guestInit: assets().guestInit,
    });
    await Promise.all(HOSTS.map((host) => nodes.start(host)));
    for (const host of HOSTS) {
      await nodes.api(host).call("POST", "/users", { name: USER, password: secret, role: "administrator" });
    }
    io.out("  pairing them");
    await nodes.pair();
    io.out("  making a VM, and protecting it");
    const job = await nodes.api("a").call("POST", "/vms", nodes.guest("demo"));
    await nodes.api("a").job(job as never, READY_MS);
    await nodes.api("a").vm("demo", ["protected"], READY_MS);
    await using doors = new AsyncDisposableStack();
    const made = HOSTS.map((host) =>
      doors.use(openDoor(lab, { host, port: WEB_PORT, here: PORTS[host], self: selfCommand(), directory }))
    );
    io.out(`\n  ${NODE_NAMES.a}   https://127.0.0.1:${made[0]?.port}/`);
    io.out(`  ${NODE_NAMES.b}   https://127.0.0.1:${made[1]?.port}/`);
    io.out(
      `  account "${USER}", password ${secret} (the certificates are their own: your browser will ask)\n`,
    );
    io.out("Faults, from another terminal, e.g.:");
    io.out(`  iservft-edge lab fault power-off a --lab ${lab.id}\n`);
    io.out("Ctrl-C ends it and removes everything.");
    await new Promise<void>((resolve) => {
      if (options.until.aborted) resolve();
      options.until.addEventListener("abort", () => resolve(), { once: true });
    });
    return 0;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
