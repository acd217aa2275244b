/** The worker that keeps events, but it dies of an event called "poison". */

import "../../lib/observe/store_worker.ts";

const scope = globalThis as unknown as { onmessage: (event: MessageEvent) => void };
const usual = scope.onmessage;
scope.onmessage = (event) => {
  const events: { text: string }[] = event.data.kind === "take" ? event.data.events : [];
  if (events.some(({ text }) => text === "poison")) throw new Error("it died");
  usual(event);
};
