/** Writes events and says the number of each that was kept, until it is killed or has written as many as it was told. */

import { Observer } from "../../lib/observe/observer.ts";

const [directory, number] = Deno.args;
const most = Number(number ?? 1_000_000);
const opened = Observer.open({ directory: directory!, node: "n", warn: () => Deno.exit(1) });
await using observer = await opened;
let told = 0;
const { promise, resolve } = Promise.withResolvers<void>();
const event = () =>
  observer.event({
    severity: "info",
    subject: "node",
    name: "",
    code: "node.stopped",
    params: {},
    actor: null,
  });
using _ = observer.subscribe((seen) => {
  if (seen.kind !== "event") return;
  Deno.stdout.writeSync(new TextEncoder().encode(`${seen.event.id}\n`));
  told++;
  if (told >= most) resolve();
  else event();
});
event();
await promise;
