/** A witness with a deliberate defect: it answers before what it granted is written. For the negative control of killed_test.ts. */

import { parseArgs } from "node:util";
import { processIo } from "../../lib/cli/command.ts";
import { serve } from "../../lib/cli/witness_serve.ts";
import { type Disk, realDisk } from "../../lib/witness/disk.ts";

/** How much later it is on the disk, ms. */
const LATER_MS = 300;

const { values } = parseArgs({
  options: { data: { type: "string" }, listen: { type: "string" }, json: { type: "boolean" } },
});
const [host = "", port = ""] = (values.listen ?? "").split(":");
let writing: Promise<void> = Promise.resolve();
const disk: Disk = {
  ...realDisk,
  rename: () => Promise.resolve(),
  syncDirectory: () => Promise.resolve(),
  writeSynced(path, bytes) {
    setTimeout(() => {
      writing = writing.then(() => realDisk.writeSynced(path, bytes))
        .then(() => realDisk.rename(path, path.replace(/\.new$/, "")));
    }, LATER_MS);
    return Promise.resolve();
  },
};
Deno.exit(
  await serve(
    { data: values.data ?? "", listen: { host, port: Number(port) }, json: true, disk },
    processIo,
  ),
);
