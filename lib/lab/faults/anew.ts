/** For rows whose guest starts anew: its connections end with it, and what it had flushed must be there. */

import type { ClientSummary } from "../counting_client.ts";
import { brokenPromises } from "../scene.ts";
import { PowerLoss } from "./power_loss.ts";
import type { Stage } from "./stage.ts";

/** Ends the row's own client, for which nothing may have been wrong. What it saw. */
export async function endClient(stage: Stage): Promise<ClientSummary> {
  const summary = await stage.client.stop();
  const broken = brokenPromises(summary);
  stage.expect(broken.length === 0, `nothing is wrong before the fault: ${broken.join("; ")}`);
  return summary;
}

/** Puts a client into the place of the row's own that knows how many flushes the guest had answered when it began. */
export async function beginPowerLoss(stage: Stage): Promise<PowerLoss> {
  await endClient(stage);
  return await PowerLoss.begin(stage.scene);
}
