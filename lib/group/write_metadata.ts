/** Writes down what this host is, in the right order with its disks. */

import { type Engine, EngineError } from "../../ffi/engine.ts";
import { EdgeError, errorText } from "../errors.ts";
import type { MetadataStore } from "./metadata.ts";
import type { Metadata } from "./types.ts";

/** Waits until the journals hold all that was written; false: they could not be synced in time. A disk that failed holds nothing back: its
 * alarm is out, and the VM goes on with the others. */
export async function syncJournals(
  host: { engine: Engine; problem(text: string): void },
  options: { waits: boolean },
): Promise<boolean> {
  try {
    await host.engine.flush(options);
    return true;
  } catch (error) {
    host.problem(errorText(error));
    return !(error instanceof EngineError && error.is("ELIMIT"));
  }
}

/** What a primary, or one that ended, writes down makes its disks count after a power loss of both hosts: so they hold all by then. Throws
 * EdgeError when they cannot be made to. */
export async function writeMetadata(
  metadata: Metadata,
  host: { store: MetadataStore; engine: Engine; problem(text: string): void },
): Promise<void> {
  if (metadata.role !== "backup" && !await syncJournals(host, { waits: false })) {
    throw new EdgeError("The journals of the disks cannot be synced", {
      op: "write down what this host is",
      hint: "Look at the storage below the disks: it has not answered for 5 s.",
    });
  }
  await host.store.write(metadata);
}
