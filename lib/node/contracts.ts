/** What the parts of a node are to each other. The controller (controller.ts) puts them together; each part is tested with stand-ins. */

import type { Duplex } from "../model/backend.ts";
import type { JobView } from "../model/vm.ts";

export type { Recorder } from "../model/recorder.ts";

/** The newest revision of anything that is believed of the other node: one that no number comes after could not be changed here any more, and
 * its file not be read again. No node makes so many changes. */
export const REVISION_MAX = 2 ** 48;

/** Where a node keeps what. All absolute. */
export interface NodePlaces {
  /** --data: identity, pair, VMs, users, events. 0700. */
  data: string;
  /** Sockets: below /run when root. Short, since a unix socket's path has at most 107 bytes. */
  run: string;
}

/** The other node, over TLS 1.3 with both certificates pinned. Calls are JSON; each has a bound. */
export interface PeerChannel {
  /** Who it is; null: not paired. */
  readonly peer: { id: string; name: string } | null;
  readonly reachable: boolean;
  /** When `reachable` changed last, Unix ms. */
  readonly since_ms: number;
  /** Round trip of the last call, us; null: none yet. */
  readonly rtt_us: number | null;
  /** Calls it. Throws ProblemError: peer_unreachable when it is not heard or does not answer in time (5 s unless told otherwise); what the
   * other side threw comes as what it was. */
  call(method: string, params: unknown, options?: { timeout_ms?: number }): Promise<unknown>;
  /** What this node answers to `method`. `params` came from outside: check them. One handler each. */
  answer(method: string, handler: (params: unknown) => Promise<unknown>): void;
  /** A stream of bytes both ways (a console). */
  open(method: string, params: unknown): Promise<Duplex>;
  answerStream(method: string, handler: (params: unknown) => Promise<Duplex>): void;
  /** Called when `peer` or `reachable` changes. */
  onChange(listener: () => void): Disposable;
}

/** Long work with progress; bounded in number; what is over is forgotten after an hour. */
export interface Jobs {
  list(): JobView[];
  /** Starts `work` at once; it reports by `progress` and must heed `signal`. */
  start(
    job: Pick<JobView, "kind" | "subject" | "unit"> & { total: number },
    work: (job: { progress(done: number, total?: number): void; signal: AbortSignal }) => Promise<void>,
  ): { view: JobView; done: Promise<void> };
  cancel(id: string): void;
  onChange(listener: () => void): Disposable;
}
