/** One of each phase and of each event, for the table of step(). A new one that is missing here does not build. */

import {
  type Cause,
  type Command,
  FLAGS,
  type GroupEvent,
  type Invite,
  type Metadata,
  type Phase,
  ROLES,
  type Timer,
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

/** All members of a union, checked by the compiler: one that is missing, or is not in it any more, does not build. */
function all<Member extends string>(members: Record<Member, true>): Member[] {
  return Object.keys(members) as Member[];
}

type PhaseOf<Kind extends Phase["kind"]> = Extract<Phase, { kind: Kind }>;
type EventOf<Kind extends GroupEvent["kind"]> = Extract<GroupEvent, { kind: Kind }>;

const CAUSES = all<Cause>({
  silence: true,
  links: true,
  promised: true,
  "copy-lost": true,
  stall: true,
  engine: true,
  yielded: true,
  handed: true,
  operator: true,
});

/** A phase in each of its steps. */
function steps<Kind extends Phase["kind"]>(
  one: PhaseOf<Kind>,
  each: Record<Extract<PhaseOf<Kind>, { step: string }>["step"], true>,
): PhaseOf<Kind>[] {
  return Object.keys(each).map((step) => ({ ...one, step }));
}

/** Each phase, with each of its steps. */
const BY_PHASE: { [Kind in Phase["kind"]]: readonly PhaseOf<Kind>[] } = {
  off: [{ kind: "off" }],
  waiting: [false, true].map((wantsStart) => ({ kind: "waiting", why: "", wantsStart })),
  starting: steps({ kind: "starting", term: 5, step: "writing" }, {
    writing: true,
    killing: true,
    launching: true,
  }),
  solo: [
    { kind: "solo", term: 5, invite: null },
    ...all<Invite["step"]>({ writing: true, sent: true, agreed: true }).map((step) => ({
      kind: "solo" as const,
      term: 5,
      invite: { generation: 4, step },
    })),
  ],
  syncing: [false, true].map((leaving) => ({ kind: "syncing", ...at, leaving })),
  protected: [{ kind: "protected", ...at }],
  deciding: CAUSES.flatMap((cause) =>
    [false, true].flatMap((bound) =>
      [false, true].map((handed) => ({ kind: "deciding" as const, ...at, cause, bound, handed, why: "" }))
    )
  ),
  going_solo: (["heard", "never"] as const).flatMap((unless) =>
    steps({ kind: "going_solo", ...at, next: 6, handed: unless === "never", unless, step: "writing" }, {
      writing: true,
      opening: true,
    })
  ),
  handing: steps({ kind: "handing", ...at, step: "last" }, { last: true, offered: true }),
  asynchronous: steps({ kind: "asynchronous", ...at, step: "asking", why: "" }, {
    asking: true,
    writing: true,
    on: true,
    closing: true,
    marking: true,
    returning: true,
  }),
  yielded: [{ kind: "yielded", ...at }],
  joining: [false, true].flatMap((keep) =>
    steps({ kind: "joining", ...at, keep, step: "writing" }, { writing: true, launching: true })
  ),
  receiving: [false, true].flatMap((keep) =>
    steps({ kind: "receiving", ...at, keep, step: "copying" }, { copying: true, marking: true })
  ),
  ready: [{ kind: "ready", ...at }],
  behind: steps({ kind: "behind", ...at, step: "writing" }, {
    writing: true,
    written: true,
    returning: true,
  }),
  asking: CAUSES.map((cause) => ({ kind: "asking", ...at, cause, why: "" })),
  promoting: (["heard", "unheard"] as const).flatMap((unless) =>
    steps({ kind: "promoting", ...at, next: 6, unless, step: "writing" }, {
      writing: true,
      checking: true,
      restoring: true,
    })
  ),
  abandoning: [{ kind: "abandoning", ...at }],
  stale: [{ kind: "stale", ...at }],
  diverged: steps({ kind: "diverged", term: 5, why: "", step: "shown" }, {
    shown: true,
    keeping: true,
    writing: true,
  }),
  fencing: [
    { kind: "fencing", term: 6, why: "", yields: null, diverged: false },
    { kind: "fencing", term: 6, why: "", yields: at, diverged: false },
    { kind: "fencing", term: 6, why: "", yields: null, diverged: true },
  ],
  stopping: [
    { kind: "stopping", ...at, alone: true, why: "" },
    { kind: "stopping", ...at, alone: false, why: "" },
  ],
  stopped: [{ kind: "stopped", term: 5, why: "" }],
};

/** One of each phase, with each of its steps. */
export const PHASES: readonly Phase[] = Object.values(BY_PHASE).flat();

export const WORDS: Word[] = Object.values(ROLES).flatMap((role) =>
  [4, 5, 6].flatMap((term) =>
    [0, ...Object.values(FLAGS)].map((flags) => word({ role, term, flags, generation: flags === 1 ? 3 : 2 }))
  )
);

/** Each event, with what it may carry. */
const BY_EVENT: { [Kind in GroupEvent["kind"]]: readonly EventOf<Kind>[] } = {
  begin: [
    { kind: "begin", metadata: null, start: true, durable: null },
    { kind: "begin", metadata: metadata(), start: false, durable: { generation: 3, epoch: 7 } },
  ],
  peer: [true, false].flatMap((silent) =>
    [true, false].flatMap((lanAnswers) =>
      [true, false].map((checked) => ({ kind: "peer" as const, silent, lanAnswers, checked }))
    )
  ),
  own_stall: [{ kind: "own_stall" }],
  path: [0, 1, 2].flatMap((path) => [true, false].map((alive) => ({ kind: "path" as const, path, alive }))),
  word: WORDS.map((one) => ({ kind: "word", word: one })),
  link: ([0, 1] as const).flatMap((link) => [true, false].map((up) => ({ kind: "link" as const, link, up }))),
  message: [
    { kind: "message", message: { kind: "invite", term: 5, generation: 4, keepGeneration: 0 } },
    { kind: "message", message: { kind: "invite", term: 6, generation: 5, keepGeneration: 3 } },
    { kind: "message", message: { kind: "accept", term: 5, generation: 4, keep: true } },
    { kind: "message", message: { kind: "refuse", term: 5, generation: 3, why: "x" } },
    { kind: "message", message: { kind: "refuse", term: 5, generation: 4, why: "x" } },
  ],
  protected: [{ kind: "protected" }],
  whole: [{ kind: "whole", epoch: 9 }],
  stalled: [{ kind: "stalled" }],
  handed: [{ kind: "handed" }],
  qemu_lost: [{ kind: "qemu_lost", why: "x" }],
  guest_off: [{ kind: "guest_off" }],
  engine_failed: [{ kind: "engine_failed", why: "x" }],
  disk_failed: [{ kind: "disk_failed", why: "x" }],
  sync_failed: [true, false].map((resumable) => ({ kind: "sync_failed", why: "x", resumable })),
  protection_failed: [{ kind: "protection_failed", why: "x" }],
  synchronous: [{ kind: "synchronous" }],
  pace: (["asynchronous", "synchronous"] as const).map((wants) => ({ kind: "pace", wants, why: "x" })),
  granted: [5, 4].map((known) => ({ kind: "granted", term: 9, known })),
  refused: [0, 8].map((term) => ({ kind: "refused", why: "x", term })),
  witness: [false, true].map((reachable) => ({ kind: "witness", reachable, why: "x" })),
  peer_replaced: [true, false].map((yieldsTies) => ({ kind: "peer_replaced", yieldsTies })),
  command: all<Command>({
    start: true,
    switchover: true,
    stop: true,
    confirm_peer_off: true,
    protect: true,
    unprotect: true,
    yield: true,
    promote: true,
    discard: true,
  }).map((command) => ({ kind: "command", command })),
  timer: all<Timer>({ links: true, lan: true, invite: true, handing: true, decide: true, trouble: true }).map(
    (
      timer,
    ) => ({ kind: "timer", timer }),
  ),
  written: [
    metadata(),
    metadata({ term: 6 }),
    metadata({ generation: 4, copy: "partial" }),
    metadata({ generation: 4, copy: "whole" }),
    metadata({ copy: "none" }),
    metadata({ role: "backup", copy: "partial" }),
    metadata({ role: "backup", copy: "whole" }),
    metadata({ role: "backup", copy: "behind" }),
    metadata({ role: "backup", copy: "stale" }),
    metadata({ role: "stopped", copy: "none" }),
    metadata({ role: "stopped", copy: "whole" }),
  ].map((one) => ({ kind: "written", metadata: one })),
  write_failed: [{ kind: "write_failed", why: "x" }],
  launched: [{ kind: "launched" }],
  launch_failed: [{ kind: "launch_failed", why: "x" }],
  qemu_gone: [{ kind: "qemu_gone" }],
  kept: [{ kind: "kept", where: "x" }],
  keep_failed: [{ kind: "keep_failed", why: "x" }],
  solo_open: [5, 6].map((term) => ({ kind: "solo_open", term })),
  solo_refused: (["overtaken", "not_this_term"] as const).flatMap((why) =>
    [5, 6].map((term) => ({ kind: "solo_refused", term, why }))
  ),
  standing: [{ kind: "standing" }],
  standby_failed: [{ kind: "standby_failed", why: "x" }],
  promoted: [{ kind: "promoted" }],
  promote_refused: [{ kind: "promote_refused" }],
  promote_failed: [{ kind: "promote_failed", why: "x" }],
};

/** One of each event, with what it may carry. */
export const EVENTS: readonly GroupEvent[] = Object.values(BY_EVENT).flat();
