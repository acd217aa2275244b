/** The rule by which terms are granted, where it is kept: by a witness, or in another store that compares and sets. Pure: the store
 * makes each answer's record durable before the answer leaves, and takes one question of a group at a time.
 *
 * A host names the newest term that it has taken part in (`known`): the term of the VM or the copy that it has. A newer term is
 * granted only if nothing newer than that was granted to the other host: of two hosts that were cut off from each other, and that
 * both know the same, the first one gets it, and the other learns that it was granted. */

/** What is kept of a group. */
export interface GrantRecord {
  /** The newest term that was granted, or noted; 0: none. */
  term: number;
  /** Whose it is; null: given back unused. */
  holder: string | null;
}

/** What a host asks for. `node`: its name, proved by its certificate. */
export type GrantRequest =
  /** "A term newer than all others, at least `term`; I have taken part in `known`." */
  | { kind: "ask"; node: string; known: number; term: number }
  /** "I hold this term by other means": the other host gave way, or the operator decided. */
  | { kind: "note"; node: string; term: number }
  /** "I was granted this term, and shall not use it." Written down by the host before it is said. */
  | { kind: "release"; node: string; term: number };

/** What it is told. */
export type GrantAnswer =
  | { kind: "granted"; term: number }
  | { kind: "refused"; term: number; holder: string }
  | { kind: "noted" };

/** A group of which nothing was granted yet. */
export const NO_GRANT: GrantRecord = { term: 0, holder: null };

/** The greatest term: beyond it a number is not exact. */
export const TERM_MAX = 2 ** 48;

/** The answer, and what is to be kept before it is given (the same object when nothing changes). */
export function decideGrant(
  record: GrantRecord,
  request: GrantRequest,
): { record: GrantRecord; answer: GrantAnswer } {
  switch (request.kind) {
    case "ask":
      return decideAsk(record, request);
    case "note": {
      const newer = request.term > record.term;
      return {
        record: newer ? { term: request.term, holder: request.node } : record,
        answer: { kind: "noted" },
      };
    }
    case "release": {
      const own = request.term === record.term && request.node === record.holder;
      return { record: own ? { term: record.term, holder: null } : record, answer: { kind: "noted" } };
    }
    default:
      return request satisfies never;
  }
}

function decideAsk(
  record: GrantRecord,
  request: Extract<GrantRequest, { kind: "ask" }>,
): { record: GrantRecord; answer: GrantAnswer } {
  const { node, known, term } = request;
  // Its answer was lost, or comes twice: the same grant again.
  const again = record.holder === node && record.term > known;
  if (again && term <= record.term) return { record, answer: { kind: "granted", term: record.term } };
  if (record.holder === node || record.holder === null || record.term <= known) {
    const granted = Math.max(term, record.term + 1);
    return { record: { term: granted, holder: node }, answer: { kind: "granted", term: granted } };
  }
  return { record, answer: { kind: "refused", term: record.term, holder: record.holder } };
}
