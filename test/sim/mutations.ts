/** Deliberate defects. The simulator has to find each of them: that is how we know that it would find a real one. */

import { lanArbiter } from "../../lib/group/arbiter.ts";
import { decideGrant } from "../../lib/group/grant.ts";
import { FLAGS, type GroupState, ROLES } from "../../lib/group/types.ts";
import type { ArbiterName, Fault } from "./schedule.ts";
import type { Broken } from "./simulate.ts";

export interface Mutation {
  /** What is broken, in one clause. */
  what: string;
  broken: Broken;
  /** With which arbiter it shows; none: with any. */
  arbiter?: ArbiterName;
  /** What must be violated. */
  finds: RegExp;
  /** The faults among which it shows soonest; none: all of them. */
  kinds?: readonly Fault["kind"][];
}

const LOST_OR_TWO = /voices|released|output of|tells of|of which parts|resumes/;

function withFlags(state: GroupState, flags: number): GroupState {
  return state.peer === null ? state : { ...state, peer: { ...state.peer, flags: state.peer.flags | flags } };
}

export const MUTATIONS = {
  "terms-off": {
    what: "neither the decision nor the engine looks at terms",
    finds: LOST_OR_TWO,
    broken: {
      rules: { terms: false },
      event(event, host) {
        if (event.kind !== "word" || event.word.role !== ROLES.PRIMARY) return event;
        return { kind: "word", word: { ...event.word, term: Math.min(event.word.term, host.engine.term) } };
      },
    },
  },
  "promote-on-one-link": {
    what: "the backup promotes when one link is silent",
    finds: LOST_OR_TWO,
    arbiter: "lan",
    broken: {
      rules: { looksAgain: false, outlastsLease: false },
      event(event, host) {
        const lone = event.kind === "path" && !event.alive && host.engine.mode === "standby";
        return lone ? { kind: "peer", silent: true, lanAnswers: true, checked: true } : event;
      },
      action(action, host) {
        if (action.kind !== "check_silence") return action;
        host.dispatch({ kind: "peer", silent: true, lanAnswers: true, checked: true });
        return null;
      },
    },
  },
  "solo-without-grant": {
    what: "the primary goes solo without a grant",
    finds: LOST_OR_TWO,
    broken: {
      settings: {
        arbiter: {
          name: "lax",
          remote: false,
          judge: (question) =>
            question.purpose === "solo"
              ? { kind: "grant", because: "peer gave way" }
              : lanArbiter.judge(question),
        },
      },
    },
  },
  "partial-copy-promoted": {
    what: "a copy counts as whole before it is",
    finds: LOST_OR_TWO,
    broken: {
      rules: { wholeEpochs: false },
      action(action, host) {
        if (action.kind === "send" && action.message.kind === "accept") {
          host.later(1, () => host.dispatch({ kind: "whole", epoch: 0 }));
        }
        return action;
      },
    },
  },
  "partial-epoch-applied": {
    what: "parts of an epoch are applied as they come",
    finds: /resumes/,
    broken: { rules: { wholeEpochs: false } },
  },
  "isolated-goes-on": {
    what: "a host that reaches neither peer nor LAN grants itself what it asks",
    finds: LOST_OR_TWO,
    arbiter: "lan",
    broken: {
      event: (event) => event.kind === "peer" ? { ...event, lanAnswers: true } : event,
    },
  },
  "lease-ignored": {
    what: "committed output leaves though the backup may have taken over",
    finds: LOST_OR_TWO,
    broken: { rules: { lease: false } },
  },
  "written-before-durable": {
    what: "metadata count as written before they are on stable storage",
    finds: LOST_OR_TWO,
    broken: { rules: { writtenIsDurable: false } },
  },
  "write-after-act": {
    what: "metadata are written after what they are about, not before",
    finds: LOST_OR_TWO,
    broken: {
      action(action, host) {
        if (action.kind !== "write") return action;
        const { metadata } = action;
        host.later(0, () => host.dispatch({ kind: "written", metadata }));
        host.later(host.chance.between(20, 80), () => {
          host.store.write(metadata).catch(() => {});
          host.file.complete();
        });
        return null;
      },
    },
  },
  "commits-go-on": {
    what: "a backup on its way to take over goes on telling what it committed",
    finds: LOST_OR_TWO,
    kinds: ["freeze", "die_at_action", "power_off"],
    broken: {
      action: (action) => action.kind === "commits" ? null : action,
      event(event, host) {
        if (host.index === 1) host.slowDisk = 60;
        return event;
      },
    },
  },
  "copy-not-marked-before-sync": {
    what: "the primary begins a sync without writing that the copy may become whole",
    finds: LOST_OR_TWO,
    broken: {
      action(action, host) {
        const { phase } = host.state;
        const marks = action.kind === "write" && phase.kind === "solo" && action.metadata.copy === "whole";
        if (!marks) return action;
        const { metadata } = action;
        host.later(0, () => host.dispatch({ kind: "written", metadata }));
        return null;
      },
    },
  },
  "stale-grant-accepted": {
    what: "a grant is used whatever has happened since it was asked for",
    finds: LOST_OR_TWO,
    arbiter: "witness",
    broken: {
      event: (event, host) =>
        event.kind === "granted" && host.state.disk !== null
          ? { ...event, known: "term" in host.state.phase ? host.state.phase.term : host.state.disk.term }
          : event,
      action: (action) => action.kind === "release_term" ? null : action,
      grant(record, request) {
        if (request.kind !== "ask") return decideGrant(record, request);
        const term = Math.max(request.term, record.term + 1);
        return { record: { term, holder: request.node }, answer: { kind: "granted", term } };
      },
    },
  },
  "witness-by-term-alone": {
    what: "the witness grants every term that is new, whoever knows what",
    finds: LOST_OR_TWO,
    arbiter: "witness",
    broken: {
      grant(record, request) {
        if (request.kind !== "ask" || request.term <= record.term) return decideGrant(record, request);
        return {
          record: { term: request.term, holder: request.node },
          answer: { kind: "granted", term: request.term },
        };
      },
    },
  },
  "witness-forgets": {
    what: "the witness does not put its record on stable storage before it answers, and dies",
    finds: LOST_OR_TWO,
    arbiter: "witness",
    kinds: ["witness_crash", "part"],
    broken: { rules: { witnessDurable: false } },
  },
  "handed-vm-taken-back": {
    what: "a VM that was handed over is taken back when the other host is silent",
    finds: LOST_OR_TWO,
    arbiter: "lan",
    kinds: ["command", "freeze"],
    broken: {
      step(state, event, real) {
        const { phase } = state;
        if (phase.kind !== "deciding" || !phase.handed) return real(state, event);
        return real({ ...state, phase: { ...phase, handed: false } }, event);
      },
      action: (action) => action.kind === "open" ? { ...action, cancelHandover: true } : action,
    },
  },
  "durable-epoch-ignored": {
    what: "after a power loss of both the roles decide, not what the disks hold",
    finds: LOST_OR_TWO,
    kinds: ["power_off_both", "slow_disk"],
    broken: {
      event: (event) => event.kind === "begin" ? { ...event, durable: null } : event,
    },
  },
  "output-before-journal": {
    what: "output leaves before a journal holds what was flushed",
    finds: LOST_OR_TWO,
    broken: { rules: { journalFirst: false } },
  },
  "solo-before-own-journal": {
    what: "a host that goes on alone lets output out that only the lost host's journal had",
    finds: LOST_OR_TWO,
    kinds: ["power_off", "die_at_action", "cut_links", "kill_qemu"],
    broken: {
      rules: { ownJournalFirst: false },
      event(event, host) {
        host.slowDisk = 60;
        return event;
      },
    },
  },
  "journal-with-gaps": {
    what: "recovery replays what lies beyond a missing record",
    finds: /of which parts|resumes|output of/,
    kinds: ["power_off", "power_off_both"],
    broken: {
      rules: { journalInOrder: false },
      event(event, host) {
        host.slowDisk = 60;
        return event;
      },
    },
  },
  "own-stall-ignored": {
    what: "a host that was frozen believes what it knew before",
    finds: LOST_OR_TWO,
    kinds: ["freeze", "power_off"],
    broken: {
      rules: { settles: false, looksAgain: false, outlastsLease: false },
      event: (event) => event.kind === "own_stall" ? null : event,
    },
  },
  "promise-assumed": {
    what: "the primary takes silence of the links for the backup's promise",
    finds: LOST_OR_TWO,
    broken: {
      step(state, event, real) {
        if (state.phase.kind !== "deciding") return real(state, event);
        return real(withFlags(state, FLAGS.PROMISED), event);
      },
    },
  },
  "copy-kept-after-promise": {
    what: "a backup that promised may still start its copy",
    finds: LOST_OR_TWO,
    broken: {
      step(state, event, real) {
        const { phase } = state;
        if (phase.kind !== "stale" || event.kind !== "peer" || !event.silent || state.disk === null) {
          return real(state, event);
        }
        const { term, generation } = phase;
        return real({ ...state, phase: { kind: "ready", term, generation } }, event);
      },
    },
  },
  "asks-nobody-again": {
    what: "a refused question is never asked again",
    finds: /not protected/,
    arbiter: "witness",
    broken: { action: (action) => action.kind === "set_timer" && action.timer === "decide" ? null : action },
  },
} as const satisfies Record<string, Mutation>;

export type MutationName = keyof typeof MUTATIONS;

/** The defects of a mutation by its name. */
export function brokenBy(name: string): Broken {
  const mutation = (MUTATIONS as Record<string, Mutation>)[name];
  if (mutation === undefined) throw new RangeError(`There is no mutation ${name}`);
  return mutation.broken;
}

/** The faults among which a mutation shows soonest. */
export function kindsOf(name: string | undefined): Mutation["kinds"] {
  return name === undefined ? undefined : (MUTATIONS as Record<string, Mutation>)[name]?.kinds;
}

/** All of them, by name. */
export function mutations(): [MutationName, Mutation][] {
  return Object.entries(MUTATIONS) as [MutationName, Mutation][];
}
