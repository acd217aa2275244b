/** What the engine knows of the peer at this very moment, and which of its events are of the peer that there is now. */

import type { EngineEvent } from "../../ffi/events.ts";
import type { StatusPage } from "../../ffi/status.ts";
import { ROLES } from "./types.ts";

/** Events by which a peer is heard. */
const OF_A_PEER: ReadonlySet<EngineEvent["event"]> = new Set<EngineEvent["event"]>([
  "path",
  "peer",
  "own_stall",
  "link",
  "control",
  "word",
]);

/** One runner's look at its peer. */
export class PeerLook {
  readonly #page: StatusPage;
  #said = { silent: true, lanAnswers: false };
  #old_us = -1;

  constructor(page: StatusPage) {
    this.#page = page;
  }

  /** Takes what an event says of the peer; false: it is of one that was replaced. */
  takes(event: EngineEvent): boolean {
    if (event.t_us <= this.#old_us && OF_A_PEER.has(event.event)) return false;
    if (event.event === "peer") this.#said = { silent: event.silent, lanAnswers: event.lan_answers };
    return true;
  }

  /** There is another peer: what came up to `since_us` is of the old one. */
  replaced(since_us: number): void {
    this.#old_us = since_us;
    this.#said = { silent: true, lanAnswers: false };
  }

  silence(): { silent: boolean; lanAnswers: boolean } {
    const alive = [0, 1, 2].some((path) => this.#page.get("path_alive", path) !== 0);
    return { silent: this.#said.silent && !alive, lanAnswers: this.#said.lanAnswers };
  }

  /** It says that it has the VM, in this term or a newer one. */
  has(term: number): boolean {
    return this.#page.get("peer_role") === ROLES.PRIMARY && this.#page.get("peer_term") >= term;
  }

  /** Its role and flags, as the farewell needs them. */
  word(): { role: number; flags: number; silent: boolean; lanAnswers: boolean } {
    return { role: this.#page.get("peer_role"), flags: this.#page.get("peer_flags"), ...this.#said };
  }

  /** It was heard within the last `ms`. */
  heardWithin(ms: number): boolean {
    return this.#page.get("peer_age_us") < ms * 1000;
  }
}
