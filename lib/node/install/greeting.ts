/** What the service said when it started: for whoever has just installed it. */

import { SERVICE } from "./unit.ts";

type Run = (words: readonly string[]) => Promise<{ code: number; said: string }>;

/** The journal is written by another process: it may take a moment. */
const TRIES = 10;
const PAUSE_MS = 200;

/** Where the page is, and the link by which the first administrator is made; null: not said (yet, or any more). */
export interface Greeting {
  page: string | null;
  setup: string | null;
}

/** Finds both in what the service wrote. */
export function greetingIn(text: string): Greeting {
  return {
    page: /^\s*page\s+(https:\/\/\S+)/m.exec(text)?.[1] ?? null,
    setup: /https:\/\/\S+\/setup\?token=[A-Za-z0-9_-]+/.exec(text)?.[0] ?? null,
  };
}

/** Asks the journal what the service that runs now has said. */
export async function readGreeting(
  run: Run,
  pause: (ms: number) => Promise<void> = sleep,
): Promise<Greeting> {
  const id = (await run(["systemctl", "show", "--property=InvocationID", "--value", SERVICE])).said.trim();
  if (!/^[0-9a-f]{32}$/.test(id)) return { page: null, setup: null };
  for (let tries = 1;; tries++) {
    const { said } = await run([
      "journalctl",
      "--no-pager",
      "--output=cat",
      "--lines=200",
      `_SYSTEMD_INVOCATION_ID=${id}`,
    ]);
    const found = greetingIn(said);
    // The page is said first, the link right after it.
    if (found.setup !== null || tries === TRIES || (found.page !== null && /service started/.test(said))) {
      return found;
    }
    await pause(PAUSE_MS);
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
