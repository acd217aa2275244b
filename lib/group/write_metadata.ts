/** Writes down what this host is, in the right order with its disks. */

import { type Engine, EngineError } from "../../ffi/engine.ts";
import { errorText } from "../errors.ts";
import type { MetadataStore } from "./metadata.ts";
import type { Metadata } from "./types.ts";

/** Waits until the journals hold all that was written. Throws EngineError when they cannot be synced in time. A disk that failed holds
 * nothing back: its alarm is out, and the VM goes on with the others. */
export async function syncJournals(
  host: { engine: Engine; problem(text: string): void },
  options: { waits: boolean },
): Promise<void> {
  try {
    await host.engine.flush(options);
  } catch (error) {
    if (error instanceof EngineError && error.is("ELIMIT")) throw error;
    host.problem(errorText(error));
  }
}

/** After a power loss of both hosts the newer term counts: before one is written, the disks hold all of the older. Throws as syncJournals
 * does. */
export async function writeMetadata(
  metadata: Metadata,
  host: { store: MetadataStore; engine: Engine; problem(text: string): void },
): Promise<void> {
  const raises = metadata.role === "primary" && metadata.term > (host.store.newest?.term ?? 0);
  if (raises) await syncJournals(host, { waits: false });
  await host.store.write(metadata);
}
