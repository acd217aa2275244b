import { equal } from "node:assert/strict";
import { makeDurableDirectory } from "../lib/durable_directory.ts";
import { Lab } from "../lib/lab/lab.ts";
import { VolatileStorage } from "../lib/lab/volatile_storage.ts";
import { testLab } from "./lab/support.ts";

/** A file that is synced, and its directory too, but nothing above it. */
function writeSynced(path: string, text: string): void {
  using file = Deno.openSync(path, { write: true, create: true });
  file.writeSync(new TextEncoder().encode(text));
  file.syncSync();
  using directory = Deno.openSync(path.slice(0, path.lastIndexOf("/")));
  directory.syncSync();
}

Deno.test("a durable directory is there after a power cut, with those above it; one that was only made is not", async () => {
  await using lab = await testLab();
  const top = await Deno.makeTempDir();
  const storage = await VolatileStorage.mount({ lab, host: "a", directory: `${top}/data` });
  makeDurableDirectory(`${top}/data/one/two`, 0o700);
  makeDurableDirectory(`${top}/data/one/two`, 0o700);
  writeSynced(`${top}/data/one/two/file`, "kept");
  Deno.mkdirSync(`${top}/data/control/two`, { recursive: true });
  writeSynced(`${top}/data/control/two/file`, "lost");
  await storage.unmount();
  await storage.remount();
  equal(await Deno.readTextFile(`${top}/data/one/two/file`), "kept");
  equal((await Deno.stat(`${top}/data/one/two`)).mode! & 0o777, 0o700);
  const found = [...Deno.readDirSync(`${top}/data`)].map(({ name }) => name);
  equal(found.join(), "one");
  await storage.unmount();
  await Lab.down(lab.id);
  await Deno.remove(top, { recursive: true });
});
