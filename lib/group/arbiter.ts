/** Who grants terms. An arbiter is a pure judge over what a host knows; one that is elsewhere (a witness) answers
 * "ask", and its grant comes back as an event. */

/** What is asked, with all that is known. */
export interface Question {
  purpose: "solo" | "promote" | "start";
  /** All paths to the peer are silent, and that was looked at just now. */
  silent: boolean;
  /** The reference on the LAN answers. */
  lanAnswers: boolean;
  /** The peer itself said that it will not run the VM: it promised (solo), or it yielded (promote, start). */
  peerGaveWay: boolean;
  /** The operator said that the other host is off. */
  confirmedOff: boolean;
}

/** The judgement. `hold`: not now, and why. */
export type Verdict =
  | { kind: "grant"; because: "peer gave way" | "silence" | "operator" }
  | { kind: "hold"; why: string }
  | { kind: "ask" };

export interface Arbiter {
  readonly name: string;
  /** True when it says "ask": its grants come as events, and it is told of the terms that are held by other means. */
  readonly remote: boolean;
  judge(question: Question): Verdict;
}

/** What holds with every arbiter: the peer's own word, and the operator's while the peer is not heard. */
function common(question: Question): Verdict | undefined {
  if (question.peerGaveWay) return { kind: "grant", because: "peer gave way" };
  if (!question.silent) return { kind: "hold", why: "the other host is heard, and has not given way" };
  if (question.confirmedOff) return { kind: "grant", because: "operator" };
  return undefined;
}

/** Silence on every path, while the reference on the LAN answers. What it leaves uncovered: two living hosts that are
 * cut off from each other on all three paths, and that both reach the reference, would both go on. */
export const lanArbiter: Arbiter = {
  name: "lan",
  remote: false,
  judge(question) {
    const verdict = common(question);
    if (verdict !== undefined) return verdict;
    if (question.lanAnswers) return { kind: "grant", because: "silence" };
    return {
      kind: "hold",
      why: "neither the other host nor the LAN answers: this host may be the isolated one",
    };
  },
};

/** The operator decides. */
export const manualArbiter: Arbiter = {
  name: "manual",
  remote: false,
  judge(question) {
    return common(question) ?? { kind: "hold", why: "the operator must confirm that the other host is off" };
  },
};

/** A third machine, or a store that compares and sets: safe however the hosts are cut off from each other. */
function elsewhere(name: string): Arbiter {
  return { name, remote: true, judge: (question) => common(question) ?? { kind: "ask" } };
}

/** A witness decides. */
export const witnessArbiter: Arbiter = elsewhere("witness");

/** A site's etcd decides. */
export const etcdArbiter: Arbiter = elsewhere("etcd");

const ARBITERS = { lan: lanArbiter, manual: manualArbiter, witness: witnessArbiter, etcd: etcdArbiter };

/** The arbiters by the names that a host's file gives them. */
export type ArbiterName = keyof typeof ARBITERS;

/** The arbiter that a host's file names. */
export function arbiterOf(name: ArbiterName): Arbiter {
  return ARBITERS[name];
}
