/** Accounts of a node, with what they tell its events, and a look through the audit log now and then. */

import { openAccess } from "../access/access.ts";
import type { Access, AccessEvents } from "../access/types.ts";
import type { NewEvent } from "../model/event.ts";
import type { Recorder } from "../model/recorder.ts";

/** How often the audit log is looked through. */
const AUDIT_MS = 3600_000;

function told(recorder: Recorder): AccessEvents {
  const say = (event: Pick<NewEvent, "severity" | "name" | "code" | "params" | "actor">) =>
    recorder.event({ subject: "user", ...event });
  return {
    created: (user, actor) =>
      say({ severity: "info", name: user, code: "user.created", params: { user }, actor }),
    changed: (user, { what, actor }) =>
      say({ severity: "info", name: user, code: "user.changed", params: { user, what }, actor }),
    deleted: (user, actor) =>
      say({ severity: "info", name: user, code: "user.deleted", params: { user }, actor }),
    locked: (user, address) =>
      say({ severity: "warning", name: user, code: "user.locked", params: { user, address }, actor: null }),
  };
}

/** Opens the accounts in `directory`. `label`: the node's name, as authenticator apps show it. */
export function openNodeAccess(
  options: { directory: string; label: string; recorder: Recorder },
): Promise<Access> {
  const { directory, label, recorder } = options;
  return openAccess({ directory, label, nowMs: Date.now, events: told(recorder) });
}

/** Looks through the audit log at once, and then each hour. */
export class AuditWatch implements Disposable {
  /** Why it is not whole; null: it is, as far as was seen. */
  problem: string | null = null;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(access: Access, warn: (text: string) => void) {
    const look = async () => {
      const found = await access.audit.verify();
      const problem = found.ok ? null : `${found.file}, line ${found.line}: ${found.problem}`;
      if (problem !== null && problem !== this.problem) warn(`the audit log is not whole: ${problem}`);
      this.problem = problem;
    };
    const tried = () => void look().catch((error) => warn(`the audit log cannot be read: ${error}`));
    tried();
    this.#timer = setInterval(tried, AUDIT_MS);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
