/** Talks to the demo guest from inside the client's namespace; started by guest_test.ts.
 * `echo ADDRESS BYTES` prints whether they came back; `crowd ADDRESS N` counts once on each of N connections at a time;
 * `ask ADDRESS LINE...` prints the reply to each line. */

import { GuestConnection } from "../../lib/lab/guest_connection.ts";

const [mode, hostname = "", ...words] = Deno.args;
const open = () => GuestConnection.open({ hostname, bound_ms: 20_000 });

if (mode === "echo") {
  const bytes = Number(words[0]);
  const data = new Uint8Array(bytes).map((_, i) => (i * 7 + (i >> 8)) & 0xff);
  using connection = await Deno.connect({ hostname, port: 7777 });
  const send = async () => {
    await connection.write(new TextEncoder().encode(`echo ${bytes}\n`));
    for (let at = 0; at < bytes;) at += await connection.write(data.subarray(at, at + 65536));
  };
  const sending = send();
  const back = new Uint8Array(bytes);
  for (let at = 0; at < bytes;) {
    const got = await connection.read(back.subarray(at));
    if (got === null) break;
    at += got;
  }
  await sending;
  console.log(back.every((byte, i) => byte === data[i]) ? "same" : "different");
} else if (mode === "crowd") {
  const connections = [];
  for (let i = 0; i < Number(words[0]); i++) connections.push(await open());
  const numbers = await Promise.all(
    connections.map(async (connection) => Number(await connection.ask("count dirty=2"))),
  );
  for (const connection of connections) connection.close();
  console.log(new Set(numbers).size);
} else {
  using connection = await open();
  for (const line of words) console.log(await connection.ask(line));
}
