/** A program: stands in a replication line and damages what passes, when told to. Each line on its input is a kind of damage and a
 * direction ("flip up", "reorder down"; up: from the host that connects); it says each one back once it is done.
 *
 *     deno run --allow-net damaging_proxy.ts PORT ADDRESS:PORT */

export type Damage = "flip" | "truncate" | "duplicate" | "reorder";
type Direction = "up" | "down";

/** Less than this cannot be cut in its middle. */
const WORTH_BYTES = 40;

const wanted: { damage: Damage; direction: Direction }[] = [];

function say(text: string): void {
  console.log(text);
}

async function write(to: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await to.write(bytes.subarray(sent));
}

/** What is written in the place of `bytes`; what is to follow the next piece is put into `held`. */
function damaged(bytes: Uint8Array, how: Damage, held: Uint8Array[]): Uint8Array {
  const middle = bytes.length >> 1;
  switch (how) {
    case "flip":
      bytes[middle] = (bytes[middle] ?? 0) ^ 1;
      return bytes;
    case "truncate":
      return Uint8Array.from([...bytes.subarray(0, middle), ...bytes.subarray(middle + 16)]);
    case "duplicate":
      return Uint8Array.from([...bytes, ...bytes]);
    case "reorder":
      held.push(bytes);
      return new Uint8Array();
    default:
      return how satisfies never;
  }
}

async function pump(from: Deno.Conn, way: { to: Deno.Conn; direction: Direction }): Promise<void> {
  const { to, direction } = way;
  const held: Uint8Array[] = [];
  const buffer = new Uint8Array(65536);
  try {
    for (;;) {
      const got = await from.read(buffer);
      if (got === null) break;
      let bytes = buffer.slice(0, got);
      const next = wanted[0];
      const before = held.splice(0);
      if (next !== undefined && next.direction === direction && got >= WORTH_BYTES) {
        wanted.shift();
        bytes = Uint8Array.from(damaged(bytes, next.damage, held));
        say(`${next.damage} ${next.direction}`);
      }
      await write(to, bytes);
      for (const late of before) await write(to, late);
    }
  } catch {
    // One end closed it, which is what damage is to lead to.
  }
  for (const end of [from, to]) {
    try {
      end.close();
    } catch {
      // It is closed already.
    }
  }
}

async function commands(): Promise<void> {
  let rest = "";
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [damage, direction] = line.split(" ") as [Damage, Direction];
      wanted.push({ damage, direction });
    }
  }
  Deno.exit(0);
}

if (import.meta.main) {
  const [port = "", target = ""] = Deno.args;
  const [hostname = "", targetPort = ""] = target.split(":");
  const listener = Deno.listen({ hostname: "0.0.0.0", port: Number(port) });
  say("ready");
  commands();
  for await (const client of listener) {
    try {
      const server = await Deno.connect({ hostname, port: Number(targetPort) });
      for (const end of [client, server]) end.setNoDelay(true);
      pump(client, { to: server, direction: "up" });
      pump(server, { to: client, direction: "down" });
    } catch {
      client.close(); // nobody listens there yet
    }
  }
}
