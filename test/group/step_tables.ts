/** One of each phase and of each event, for the table of step(). */

import {
  FLAGS,
  type GroupEvent,
  type Metadata,
  type Phase,
  ROLES,
  type Word,
} from "../../lib/group/types.ts";

export const metadata = (fields: Partial<Metadata> = {}): Metadata => ({
  generation: 3,
  term: 5,
  role: "primary",
  epoch: 0,
  copy: "whole",
  peer: "b",
  ...fields,
});
export const word = (fields: Partial<Word> = {}): Word => ({
  generation: 3,
  term: 5,
  epoch: 0,
  role: ROLES.BACKUP,
  flags: FLAGS.COPY_WHOLE,
  ...fields,
});
export const at = { term: 5, generation: 3 };

/** One of each phase, with each of its steps. */
export const PHASES: Phase[] = [
  { kind: "off" },
  { kind: "waiting", why: "", wantsStart: false },
  { kind: "waiting", why: "", wantsStart: true },
  ...(["writing", "killing", "launching"] as const).map((s): Phase => ({
    kind: "starting",
    term: 5,
    step: s,
  })),
  { kind: "solo", term: 5, invite: null },
  ...(["writing", "sent", "agreed"] as const).map((s): Phase => ({
    kind: "solo",
    term: 5,
    invite: { generation: 4, step: s },
  })),
  { kind: "syncing", ...at, leaving: false },
  { kind: "syncing", ...at, leaving: true },
  { kind: "protected", ...at },
  ...(["silence", "links", "promised", "copy-lost", "stall"] as const).flatMap((cause): Phase[] =>
    [false, true].map((flag) => ({ kind: "deciding", ...at, cause, bound: flag, handed: flag, why: "" }))
  ),
  ...(["writing", "opening"] as const).map((s): Phase => ({
    kind: "going_solo",
    ...at,
    next: 6,
    handed: false,
    unless: "heard",
    step: s,
  })),
  { kind: "handing", ...at, step: "last" },
  { kind: "handing", ...at, step: "offered" },
  { kind: "yielded", ...at },
  { kind: "joining", ...at, keep: false, step: "writing" },
  { kind: "joining", ...at, keep: true, step: "launching" },
  { kind: "receiving", ...at, keep: false, step: "copying" },
  { kind: "receiving", ...at, keep: false, step: "marking" },
  { kind: "ready", ...at },
  { kind: "asking", ...at, cause: "silence", why: "" },
  ...(["writing", "checking", "restoring"] as const).map((s): Phase => ({
    kind: "promoting",
    ...at,
    next: 6,
    unless: "heard",
    step: s,
  })),
  { kind: "abandoning", ...at },
  { kind: "stale", ...at },
  { kind: "fencing", term: 6, why: "", yields: null, diverged: false },
  { kind: "fencing", term: 6, why: "", yields: at, diverged: false },
  { kind: "fencing", term: 6, why: "", yields: null, diverged: true },
  ...(["asking", "writing", "on", "closing", "marking", "returning"] as const).map((s): Phase => ({
    kind: "asynchronous",
    ...at,
    step: s,
    why: "",
  })),
  ...(["writing", "written", "returning"] as const).map((s): Phase => ({ kind: "behind", ...at, step: s })),
  ...(["shown", "keeping", "writing"] as const).map((s): Phase => ({
    kind: "diverged",
    term: 5,
    why: "",
    step: s,
  })),
  { kind: "stopping", ...at, why: "" },
  { kind: "stopped", term: 5, why: "" },
];

export const WORDS: Word[] = Object.values(ROLES).flatMap((role) =>
  [4, 5, 6].flatMap((term) =>
    [0, ...Object.values(FLAGS)].map((flags) => word({ role, term, flags, generation: flags === 1 ? 3 : 2 }))
  )
);

export const EVENTS: GroupEvent[] = [
  { kind: "begin", metadata: null, start: true, durable: null },
  { kind: "begin", metadata: metadata(), start: false, durable: { generation: 3, epoch: 7 } },
  ...[true, false].flatMap((silent) =>
    [true, false].flatMap((lanAnswers) =>
      [true, false].map((checked): GroupEvent => ({ kind: "peer", silent, lanAnswers, checked }))
    )
  ),
  ...WORDS.map((w): GroupEvent => ({ kind: "word", word: w })),
  ...[0, 1, 2].flatMap((path) => [true, false].map((alive): GroupEvent => ({ kind: "path", path, alive }))),
  ...([0, 1] as const).flatMap((link) => [true, false].map((up): GroupEvent => ({ kind: "link", link, up }))),
  { kind: "message", message: { kind: "invite", term: 5, generation: 4, keepGeneration: 0 } },
  { kind: "message", message: { kind: "invite", term: 6, generation: 5, keepGeneration: 3 } },
  { kind: "message", message: { kind: "accept", term: 5, generation: 4, keep: true } },
  { kind: "message", message: { kind: "refuse", term: 5, generation: 3, why: "x" } },
  { kind: "own_stall" },
  { kind: "protected" },
  { kind: "whole", epoch: 9 },
  { kind: "stalled" },
  { kind: "handed" },
  { kind: "qemu_lost", why: "x" },
  { kind: "guest_off" },
  { kind: "engine_failed", why: "x" },
  { kind: "disk_failed", why: "x" },
  { kind: "granted", term: 9, known: 5 },
  { kind: "refused", why: "x", term: 8 },
  { kind: "witness", reachable: false, why: "x" },
  { kind: "witness", reachable: true, why: "" },
  { kind: "sync_failed", why: "x", resumable: true },
  { kind: "sync_failed", why: "x", resumable: false },
  { kind: "protection_failed", why: "x" },
  { kind: "synchronous" },
  { kind: "pace", wants: "asynchronous", why: "x" },
  { kind: "pace", wants: "synchronous", why: "x" },
  { kind: "kept", where: "x" },
  { kind: "keep_failed", why: "x" },
  ...(["start", "switchover", "stop", "confirm_peer_off", "protect", "yield"] as const).map((
    c,
  ): GroupEvent => ({
    kind: "command",
    command: c,
  })),
  ...(["links", "lan", "invite", "handing", "decide"] as const).map((t): GroupEvent => ({
    kind: "timer",
    timer: t,
  })),
  { kind: "written", metadata: metadata() },
  { kind: "written", metadata: metadata({ term: 6 }) },
  { kind: "written", metadata: metadata({ role: "backup", copy: "stale" }) },
  { kind: "written", metadata: metadata({ role: "stopped", copy: "none" }) },
  { kind: "write_failed", why: "x" },
  { kind: "launched" },
  { kind: "launch_failed", why: "x" },
  { kind: "qemu_gone" },
  { kind: "solo_open" },
  { kind: "solo_refused", why: "overtaken" },
  { kind: "solo_refused", why: "not_this_term" },
  { kind: "standing" },
  { kind: "standby_failed", why: "x" },
  { kind: "promoted" },
  { kind: "promote_refused" },
  { kind: "promote_failed", why: "x" },
];
