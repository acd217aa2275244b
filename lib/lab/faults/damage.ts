/** Damaged bytes on a line, and what is to come of each: shared by the row and the test. */

import { type Damage, DAMAGES, type DamagingProxy, type Direction } from "../damaging_proxy.ts";
import type { RunnerEvent } from "../pair.ts";
import type { Host } from "../places.ts";
import { next, type Scene } from "../scene.ts";

/** What a line says that was dropped because of what came over it, rather than because of the other end. */
const REFUSED = /failed a check/;

/** Lines that a host dropped because of what came over them. */
export function refusals(events: readonly RunnerEvent[]): RunnerEvent[] {
  return events.filter((event) => event.event === "link" && REFUSED.test(String(event["reason"])));
}

/** A kind of damage, and which way. */
export interface Blow {
  damage: Damage;
  direction: Direction;
}

/** All of them: to the host that connects first. */
export const BLOWS: readonly Blow[] = (["down", "up"] as const).flatMap((direction) =>
  DAMAGES.map((damage) => ({ damage, direction }))
);

/** Strikes once: the host that gets it refuses it, and the line is made again and used. */
export async function damageLine(
  { scene, proxy, primary }: { scene: Scene; proxy: DamagingProxy; primary: Host },
  { damage, direction }: Blow,
): Promise<void> {
  // Host B connects: what host A sends comes down.
  const victim = scene.pair.runner(direction === "down" ? "b" : "a");
  const refused = next(victim, (event) => refusals([event]).length > 0);
  const back = next(
    scene.pair.runner(primary),
    (event) => event.event === "active" && event["link"] === 0,
  );
  await proxy.damage(damage, direction);
  await refused();
  await back();
}
