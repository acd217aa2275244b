/** For looking at the pages while they are made: `deno run -A test/ui/serve_fake.ts [PORT]`. Nothing is behind them but a FakeBackend, whose
 * clock and measurements go on. */

import { FakeBackend } from "./fake_backend.ts";
import { fakeSample } from "./fake_data.ts";
import { fakeWeb } from "./fake_web.ts";

const backend = new FakeBackend();
const web = await fakeWeb({ port: Number(Deno.args[0] ?? 8480), backend });
console.log(`${web.url}  (signed in as ann; Ctrl+C ends it)`);
if (Deno.args.includes("--alone")) backend.losePeer();
setInterval(() => {
  backend.clock_ms += 1000;
  const sample = fakeSample(backend.clock_ms);
  backend.pushVm("press-1", { sample });
  backend.pushSample("press-1", sample);
}, 1000);
