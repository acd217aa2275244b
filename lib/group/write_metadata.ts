/** Writes down what this host is, in the right order with its disks. */

import { type Engine, EngineError } from "../../ffi/engine.ts";
import { errorText } from "../errors.ts";
import type { MetadataStore } from "./metadata.ts";
import type { Metadata } from "./types.ts";

/** After a power loss of both hosts the newer term counts: before one is written, the disks hold all of the older. Throws EngineError when
 * the journals cannot be synced in time. A disk that failed holds nothing back: its alarm is out, and the VM goes on with the others. */
export async function writeMetadata(
  metadata: Metadata,
  host: { store: MetadataStore; engine: Engine; problem(text: string): void },
): Promise<void> {
  if (metadata.role === "primary" && metadata.term > (host.store.newest?.term ?? 0)) {
    try {
      await host.engine.flush();
    } catch (error) {
      if (error instanceof EngineError && error.is("ELIMIT")) throw error;
      host.problem(errorText(error));
    }
  }
  await host.store.write(metadata);
}
