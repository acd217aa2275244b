/** Where the tests find etcd: build/setup.sh unpacks one, unless the machine has its own. */

import { ROOT } from "../build/run.ts";

/** Lets processes that are started from now on find it by its name. */
export function findEtcd(): void {
  const path = Deno.env.get("PATH") ?? "";
  const unpacked = `${ROOT}/.cache/bin`;
  if (!path.split(":").includes(unpacked)) Deno.env.set("PATH", `${unpacked}:${path}`);
}
