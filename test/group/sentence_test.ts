import { deepEqual } from "node:assert/strict";
import { type Status, STATUS_FIELDS } from "../../ffi/status.ts";
import { sentence } from "../../lib/group/sentence.ts";
import { beginState } from "../../lib/group/step.ts";
import { manualArbiter } from "../../lib/group/arbiter.ts";

const MIB = 1024 * 1024;

function syncing(fields: Partial<Status>): string {
  const settings = { arbiter: manualArbiter, peerName: "b", onStall: "wait" as const, autoProtect: true };
  const state = beginState(settings as Parameters<typeof beginState>[0]);
  const zero = Object.fromEntries(STATUS_FIELDS.map(([name, count]) => [name, count === 1 ? 0 : [0, 0, 0]]));
  const status = { ...zero, ...fields } as unknown as Status;
  return sentence(
    { ...state, phase: { kind: "syncing", term: 1, generation: 1, leaving: false } },
    status,
  );
}

Deno.test("a sync says how far it is, how fast it goes and how long it will take", () => {
  const half = { sync_bytes_done: 300 * MIB, sync_bytes_total: 600 * MIB };
  deepEqual(
    [
      syncing({}),
      syncing(half),
      syncing({ ...half, sync_rate: 12_500_000, sync_eta_s: 25 }),
      syncing({ ...half, sync_rate: 125_000, sync_eta_s: 2500 }),
      syncing({ ...half, sync_rate: 125_000, sync_eta_s: 9000 }),
      syncing({ sync_bytes_done: 700 * MIB, sync_bytes_total: 600 * MIB }),
    ].map((text) => text.replace(": the VM runs on this host and is not protected yet.", "")),
    [
      "Syncing",
      "Syncing (50 % of 600 MiB)",
      "Syncing (50 % of 600 MiB, 100 Mbit/s, 25 s left)",
      "Syncing (50 % of 600 MiB, 1.0 Mbit/s, 42 min left)",
      "Syncing (50 % of 600 MiB, 1.0 Mbit/s, 2.5 h left)",
      "Syncing (99 % of 600 MiB)",
    ],
  );
});
