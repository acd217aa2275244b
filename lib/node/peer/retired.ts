/** Sessions whose place a newer one has taken: what was begun on them comes to its end first. Of two connections that both nodes made at the same
 * time neither is dead, and a call may be on its way on either. */

import type { Session } from "./session.ts";

/** More are not kept: the oldest ends. */
const KEPT_MAX = 4;

export class RetiredSessions {
  readonly #sessions = new Set<Session>();

  add(session: Session): void {
    const [oldest] = this.#sessions;
    if (this.#sessions.size >= KEPT_MAX) oldest?.end("newer connections have taken its place");
    this.#sessions.add(session);
    session.ended.then(() => this.#sessions.delete(session));
    session.retire("a newer connection has taken its place");
  }

  /** Ends those whose other end has none of these IDs. */
  endOthers(ids: readonly string[], why: string): void {
    for (const session of this.#sessions) {
      if (!ids.includes(session.peer.id)) session.end(why);
    }
  }
}
