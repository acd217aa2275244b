/** The data directory of a node: its layout, its version, and that only one process has it.
 *
 *   layout.json        {"layout":1,"program":"0.1.0"}: the version of all below
 *   lock               held by the `serve` that runs
 *   run/               sockets, where there is no other place for them: without root, and without XDG_RUNTIME_DIR
 *   identity/          identity.pem: this node's key and certificate
 *   pair.json          the other node; pair.key: 32 bytes in hex for the replication lines; pair_settings.json: links, LAN, arbiter
 *   pair_kept.json     what VMs keep that run while the other node is being replaced
 *   vms/NAME/          vm.toml, host.toml, state.json, runner.log, serial.log, disk images, and what the runner keeps: group.meta, journals
 *   vms/NAME.deleted-TIME/  of a VM that was deleted, when its disks were kept; vms/tombstones.json: VMs that do not come back
 *   access/            accounts, sessions, tokens; audit.log
 *   observe/           events.db, alerts.json
 *   tls/               the page's certificate, where the owner put one
 */

import { makeDurableDirectory } from "../durable_directory.ts";
import { writeDurableFile } from "../durable_file.ts";
import { EdgeError } from "../errors.ts";

/** Brings layout N to N + 1, in place; run again after a crash in the middle it must come to the same. */
export type Migration = (directory: string) => void;

/** By the layout that they begin with. */
export const MIGRATIONS: readonly Migration[] = [];

interface Layout {
  layout: number;
  program: string;
}

function problem(message: string, hint: string, cause?: unknown): EdgeError {
  return new EdgeError(message, {
    op: "open the data directory",
    hint,
    ...(cause === undefined ? {} : { cause }),
  });
}

function readLayout(file: string): Layout | null {
  let text: string;
  try {
    text = Deno.readTextFileSync(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw problem(`${file} cannot be read`, "Run this as the user that owns it.", error);
  }
  try {
    const { layout, program } = JSON.parse(text) as Partial<Layout>;
    if (typeof layout === "number" && Number.isInteger(layout) && layout > 0) {
      return { layout, program: String(program) };
    }
  } catch { /* said below */ }
  throw problem(`${file} is damaged`, "Restore it from a backup: iservft-edge backup restore.");
}

/** `run`: where sockets are kept when this is no root and has no directory of its session (lib/node/config.ts). */
function isEmpty(directory: string): boolean {
  const own = ["lock", "lost+found", "run"];
  return [...Deno.readDirSync(directory)].every((entry) => own.includes(entry.name));
}

/** Makes `directory` if it is not there, takes it for this process, and brings it to this program's layout. Throws EdgeError when another
 * process has it, a newer program wrote it, or it holds something else. */
export function openDataDirectory(
  directory: string,
  program: string,
  migrations: readonly Migration[] = MIGRATIONS,
): Disposable {
  makeDurableDirectory(directory, 0o700);
  const newest = migrations.length + 1;
  const lock = Deno.openSync(`${directory}/lock`, { create: true, write: true, mode: 0o600 });
  try {
    if (!lock.tryLockSync(true)) {
      throw problem(
        `another iservft-edge serve has ${directory}`,
        "There is one for each machine: end the other one, or give another --data.",
      );
    }
    const file = `${directory}/layout.json`;
    const found = readLayout(file);
    if (found === null && !isEmpty(directory)) {
      throw problem(
        `${directory} is not empty, and no data directory`,
        "Give an empty directory, or a new one.",
      );
    }
    const layout = found?.layout ?? newest;
    if (layout > newest) {
      throw problem(
        `${directory} was written by a newer iservft-edge (${found?.program}): layout ${layout}, this one knows ${newest}`,
        "Use that version, or restore a backup that this version made.",
      );
    }
    const write = (at: number) =>
      writeDurableFile(file, `${JSON.stringify({ layout: at, program })}\n`, 0o600);
    for (let at = layout; at < newest; at++) {
      migrations[at - 1]!(directory);
      write(at + 1);
    }
    if (found === null || found.program !== program) write(newest);
  } catch (error) {
    lock.close();
    throw error;
  }
  return { [Symbol.dispose]: () => lock.close() };
}
