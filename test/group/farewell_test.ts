import { equal, ok } from "node:assert/strict";
import { farewell, type PeerWord } from "../../lib/group/farewell.ts";
import { FLAGS, ROLES } from "../../lib/group/types.ts";

const ready: PeerWord = { role: ROLES.BACKUP, flags: FLAGS.COPY_WHOLE, silent: false };

/** Waits with a peer that says these words one after the other, the last for ever; how long it took, ms. */
async function waited(words: PeerWord[]): Promise<number> {
  let now = 0;
  const peer = () => (words.length > 1 ? words.shift() : words[0]) ?? ready;
  await farewell(peer, { nowMs: () => now, sleep: (ms) => Promise.resolve(void (now += ms)) });
  return now;
}

Deno.test("a stopped host stays until the other one has put its copy away", async () => {
  const away = { ...ready, flags: FLAGS.PROMISED };
  ok(await waited([ready, ready, ready, away]) > 0);
  equal(await waited([away]), 0);
});

Deno.test("a stopped host waits for nobody who is silent, holds no whole copy, or never answers", async () => {
  equal(await waited([{ ...ready, silent: true }]), 0);
  equal(await waited([{ ...ready, flags: 0 }]), 0);
  equal(await waited([{ ...ready, role: ROLES.WAITING }]), 0);
  const bound_ms = await waited([ready]);
  ok(bound_ms >= 1000 && bound_ms <= 10_000, `${bound_ms} ms`);
});
