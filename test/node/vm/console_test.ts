import assert from "node:assert/strict";
import type { Duplex } from "../../../lib/model/backend.ts";
import { RoamingLine } from "../../../lib/node/vm/roaming_line.ts";
import { SCROLLBACK_BYTES, SerialHub } from "../../../lib/node/vm/serial_hub.ts";

const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);
const bytes = (words: string) => new TextEncoder().encode(words);

/** A QEMU's serial socket, and a hub on it. */
async function line() {
  const directory = await Deno.makeTempDir();
  const socket = `${directory}/serial.sock`;
  const listener = Deno.listen({ transport: "unix", path: socket });
  const hub = new SerialHub({ socket, log: `${directory}/serial.log` });
  const qemu = await listener.accept();
  const attach = async (scrollback = true): Promise<Duplex> => {
    for (;;) {
      const viewer = hub.attach({ scrollback });
      if (viewer !== undefined) return viewer;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  };
  return {
    ...{ qemu, hub, attach, listener, log: `${directory}/serial.log` },
    async [Symbol.asyncDispose]() {
      await hub[Symbol.asyncDispose]();
      try {
        qemu.close();
      } catch { /* closed in the test */ }
      listener.close();
      await Deno.remove(directory, { recursive: true });
    },
  };
}

Deno.test("a serial line has many viewers, each sees what was said before, and all type on it", async () => {
  await using serial = await line();
  const one = await serial.attach();
  const first = one.readable.getReader();
  await serial.qemu.write(bytes("boot\n"));
  assert.equal(text((await first.read()).value), "boot\n");
  const second = (await serial.attach()).readable.getReader();
  assert.equal(text((await second.read()).value), "boot\n");
  await serial.qemu.write(bytes("login: "));
  for (const reader of [first, second]) assert.equal(text((await reader.read()).value), "login: ");
  const late = (await serial.attach(false)).readable.getReader();
  const writer = one.writable.getWriter();
  await writer.write(bytes("root\r"));
  const typed = new Uint8Array(10);
  assert.equal(text(typed.subarray(0, (await serial.qemu.read(typed)) ?? 0)), "root\r");
  await serial.qemu.write(bytes("#"));
  assert.equal(text((await late.read()).value), "#");
  for (const reader of [first, second, late]) await reader.cancel();
});

Deno.test("a guest that says much is never made to wait, whether nobody or a sleeper looks; what is kept of it is bounded", async () => {
  await using serial = await line();
  const sleeper = await serial.attach();
  const part = new Uint8Array(64 * 1024).fill(0x78);
  for (let sent = 0; sent < 64; sent++) {
    for (let rest = part; rest.length > 0;) rest = rest.subarray(await serial.qemu.write(rest));
  }
  await assert.rejects(async () => {
    for await (const _ of sleeper.readable);
  }, /does not keep up/);
  const reader = (await serial.attach()).readable.getReader();
  assert.ok(((await reader.read()).value?.length ?? 0) <= SCROLLBACK_BYTES);
  await reader.cancel();
});

Deno.test("a viewer stays while the line moves to the other node", async () => {
  await using here = await line();
  await using there = await line();
  let moves = 0;
  const again = () => {
    moves++;
    return moves === 1 ? Promise.reject(new Error("it is on its way")) : there.attach(false);
  };
  let ended = 0;
  await using viewer = new RoamingLine({ first: await here.attach(), again, onEnd: () => ended++ });
  const reader = viewer.readable.getReader();
  await here.qemu.write(bytes("A"));
  assert.equal(text((await reader.read()).value), "A");
  here.qemu.close();
  const next = reader.read();
  const writer = viewer.writable.getWriter();
  await writer.write(bytes("lost")); // nobody is there
  const sending = setInterval(() => void there.qemu.write(bytes("B")), 50);
  assert.match(text((await next).value), /^B+$/);
  clearInterval(sending);
  await writer.write(bytes("x"));
  const typed = new Uint8Array(10);
  assert.equal(text(typed.subarray(0, (await there.qemu.read(typed)) ?? 0)), "x");
  await reader.cancel();
  assert.deepEqual([moves, ended], [2, 1]);
});

Deno.test("a guest that never stops talking does not fill the node's disk", async () => {
  await using serial = await line();
  const part = new Uint8Array(64 * 1024).fill(0x78);
  let largest = 0;
  // Faster than it can be written down: what waits to be is never nothing.
  for (let sent = 0; sent < 512; sent++) {
    await serial.qemu.write(part);
    const found = await Deno.stat(serial.log).catch(() => null);
    largest = Math.max(largest, found?.size ?? 0);
  }
  assert.ok(largest > 0 && largest < 3 * 1024 * 1024, `its log had ${largest} bytes`);
});
