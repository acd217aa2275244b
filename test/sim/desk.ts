/** A host's dealings with the witness: what the runner's desk does, in virtual time. A question is answered once or, after a bound, not at
 * all; what is to be told is told until it was heard. */

import type { GrantRequest } from "../../lib/group/grant.ts";
import type { GroupEvent } from "../../lib/group/types.ts";
import type { SimHost } from "./host.ts";

const RETRY_MS = 300;
const LOOK_MS = 60;

export class SimDesk {
  readonly #host: SimHost;
  readonly #releases: number[] = [];
  #note = 0;
  #telling = false;
  #reachable: boolean | null = null;

  constructor(host: SimHost) {
    this.#host = host;
  }

  begin(): void {
    if (this.#host.world.witness !== null) this.#look();
  }

  ask(question: { known: number; term: number }): void {
    const { known, term } = question;
    const host = this.#host;
    let answered = false;
    const once = (event: GroupEvent) => {
      if (answered) return;
      answered = true;
      host.dispatch(event);
    };
    host.world.witness?.request(host, { kind: "ask", node: host.name, known, term }, (answer) => {
      if (answer.kind === "granted") once({ kind: "granted", term: answer.term, known });
      else if (answer.kind === "refused") {
        once({ kind: "refused", term: answer.term, why: "it was granted to the other host" });
      }
    });
    host.later(host.chance.between(100, 600), () => once({ kind: "refused", term: 0, why: "no answer" }));
  }

  note(term: number): void {
    this.#note = Math.max(this.#note, term);
    this.#tell();
  }

  release(term: number): void {
    this.#releases.push(term);
    this.#tell();
  }

  #look(): void {
    const host = this.#host;
    const reachable = host.world.witness?.reachable(host.index) ?? false;
    if (reachable !== this.#reachable) {
      this.#reachable = reachable;
      host.dispatch({ kind: "witness", reachable, why: reachable ? "" : "it does not answer" });
    }
    host.later(LOOK_MS, () => this.#look());
  }

  #tell(): void {
    if (this.#telling || this.#host.world.witness === null) return;
    const node = this.#host.name;
    const [released] = this.#releases;
    if (this.#note > 0) {
      const term = this.#note;
      this.#say({ kind: "note", node, term }, () => {
        if (this.#note === term) this.#note = 0;
      });
    } else if (released !== undefined) {
      this.#say({ kind: "release", node, term: released }, () => this.#releases.shift());
    }
  }

  #say(request: GrantRequest, heard: () => void): void {
    const host = this.#host;
    this.#telling = true;
    let over = false;
    const end = (run: () => void) => {
      if (over) return;
      over = true;
      this.#telling = false;
      run();
      this.#tell();
    };
    host.world.witness?.request(host, request, () => end(heard));
    host.later(RETRY_MS, () => end(() => {}));
  }
}
