/** Doctor without a node's service: before the first start, or when it does not start. */

import type { DoctorView } from "../model/doctor.ts";
import { nameOfMachine, readServeConfig, usualPlaces } from "../node/config.ts";
import { examine } from "../node/doctor/doctor.ts";
import { specDefaults } from "../vm/spec.ts";
import { VERSION } from "./version.ts";

/** Looks at this machine alone. What only a running service knows (the pair, its lines, who decides) is not set up here. */
export async function doctorAlone(env: (name: string) => string | undefined): Promise<DoctorView> {
  const { config } = readServeConfig();
  const { data } = usualPlaces({ root: Deno.uid() === 0, get: env });
  const checks = await examine({
    node: config.node ?? nameOfMachine(Deno.hostname()),
    version: VERSION,
    qemu: config.qemu,
    qemuUser: config.qemu_user,
    cpu: specDefaults().cpu,
    data: config.data ?? data,
    listens: [],
    vmPorts: [],
    settings: null,
    arbiter: null,
    clockOffsetMs: null,
    watchdog: config.fencing.watchdog,
    kernelLease: config.fencing.kernel_lease,
  });
  return { at: new Date().toISOString(), checks };
}
