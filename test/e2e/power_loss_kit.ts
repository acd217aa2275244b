/** Scenes for the tests of power loss. */

import { PowerLoss } from "../../lib/lab/faults/power_loss.ts";
import { Scene, type SceneOptions } from "./kit.ts";

/** Power losses of a scene of their own; disposing of it removes the scene. */
export interface PowerScene extends AsyncDisposable {
  power: PowerLoss;
}

/** Builds a protected scene whose hosts' storage forgets what was not synced, with a load. */
export async function powerScene(options: SceneOptions = {}): Promise<PowerScene> {
  const scene = await Scene.open({ ...options, volatileStorage: true });
  try {
    await scene.protect();
    const power = await PowerLoss.begin(scene);
    return { power, [Symbol.asyncDispose]: () => scene[Symbol.asyncDispose]() };
  } catch (error) {
    await scene[Symbol.asyncDispose]();
    throw error;
  }
}
