/** A way from this machine's loopback to the page of a node in the lab, whose addresses nobody outside of it can reach: a TCP port here, a
 * unix socket that both sides see, and inside of the host's namespace a process that goes on to the page. */

import type { Lab } from "./lab.ts";
import type { Host } from "./places.ts";

/** Connections at a time, each way in. */
const CONNECTIONS_MAX = 64;

type Stream = Pick<Deno.Conn, "readable" | "writable" | "close">;

/** Both ways until one side ends. */
async function join(one: Stream, other: Stream): Promise<void> {
  await Promise.allSettled([one.readable.pipeTo(other.writable), other.readable.pipeTo(one.writable)]);
  for (const end of [one, other]) {
    try {
      end.close();
    } catch {
      // It is closed.
    }
  }
}

/** Passes what comes to `listener` on to where `connect` leads, until the listener is closed. */
async function pass(listener: Deno.Listener<Deno.Conn>, connect: () => Promise<Stream>): Promise<void> {
  let open = 0;
  for await (const from of listener) {
    if (open >= CONNECTIONS_MAX) {
      from.close();
      continue;
    }
    open++;
    connect().then((to) => join(from, to), () => from.close()).finally(() => open--);
  }
}

/** The inner half, which `iservft-edge lab-door` runs in a host's namespace: from a unix socket to a port there. */
export async function runDoor(socket: string, port: number): Promise<void> {
  const listener = Deno.listen({ transport: "unix", path: socket });
  await pass(
    listener as unknown as Deno.Listener<Deno.Conn>,
    () => Deno.connect({ hostname: "127.0.0.1", port }),
  );
}

/** A door that is open. */
export interface Door extends AsyncDisposable {
  /** On this machine's loopback. */
  port: number;
}

/** Opens a door to `port` on a host. `self`: the command that runs this program; `directory`: for the socket. */
export function openDoor(
  lab: Lab,
  options: { host: Host; port: number; here: number; self: readonly string[]; directory: string },
): Door {
  const { host, port, here, self, directory } = options;
  const socket = `${directory}/door-${host}.sock`;
  const start = () =>
    lab.exec(host, [...self, "lab-door", socket, String(port)], {
      stdin: "null",
      stdout: "null",
      stderr: "null",
    });
  let child = start();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: here });
  const passing = pass(listener, async () => {
    try {
      return await Deno.connect({ transport: "unix", path: socket });
    } catch (error) {
      // The host lost its power and has it again: the inner half is gone with what ran there.
      const over = await Promise.race([child.status.then(() => true), Promise.resolve(false)]);
      if (!over) throw error;
      await Deno.remove(socket).catch(() => {});
      child = start();
      throw error;
    }
  });
  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await passing;
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await child.status;
    },
  };
}
