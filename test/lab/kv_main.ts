/** The program, with no command but the lab's key-value clients. Started by kv_test.ts inside the lab. */

import { processIo } from "../../lib/cli/command.ts";
import { run } from "../../lib/cli/lab_kv.ts";

Deno.exit(await run(Deno.args.slice(1), processIo));
