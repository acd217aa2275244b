/** What a node tells of itself when it is asked: doctor, metrics, the support bundle, its file. */

import type { AlerterContract, ObserverContract } from "../observe/contracts.ts";
import type { ArbiterWatch } from "../node/arbiter_watch.ts";
import { CONFIG_FILE } from "../node/config.ts";
import type { Jobs } from "../node/contracts.ts";
import type { ControllerParts } from "../node/controller.ts";
import { Doctor } from "../node/doctor/doctor.ts";
import { supportBundle } from "../node/support_bundle.ts";
import type { PairControl } from "../node/pairing/types.ts";
import type { CheckView } from "../model/doctor.ts";
import { prometheusText } from "../observe/prometheus.ts";
import { assets } from "./assets.ts";
import type { VmManager } from "../node/vm/manager.ts";
import { specDefaults } from "../vm/spec.ts";
import type { ServeSettings } from "./serve.ts";
import { VERSION } from "./version.ts";

interface Told {
  settings: ServeSettings;
  pairing: PairControl;
  vms: VmManager;
  observer: ObserverContract;
  alerter: AlerterContract;
  arbiter: ArbiterWatch;
  jobs: Jobs;
  /** Why the audit log is not whole; null: it is. */
  auditProblem(): string | null;
}

/** See above. */
export function told(
  parts: Told,
): Pick<ControllerParts, "doctor" | "supportBundle" | "metrics" | "config"> {
  const { settings, pairing, vms, arbiter, observer, alerter } = parts;
  const started_ms = Date.now();
  let checks: CheckView[] = [];
  const { config, node, places, listen } = settings;
  const doctor = new Doctor({
    peer: pairing.channel,
    subject: () => ({
      node,
      version: VERSION,
      qemu: config.qemu,
      qemuUser: config.qemu_user,
      cpu: specDefaults().cpu,
      data: places.data,
      listens: [{ port: listen.port, what: "the page" }, { port: pairing.port, what: "the other node" }],
      vmPorts: vms.ports(),
      settings: pairing.settings(),
      arbiter: arbiter.view(vms.reports().here.map((report) => report.arbiter)),
      clockOffsetMs: pairing.clockOffsetMs(),
      watchdog: config.fencing.watchdog,
      kernelLease: config.fencing.kernel_lease,
    }),
  });
  return {
    doctor: async (options) => {
      const found = await doctor.run(options);
      checks = found.checks.filter((check) => check.node === node);
      return found;
    },
    metrics: (snapshot) =>
      prometheusText(snapshot, {
        version: VERSION,
        mode: assets().mode,
        totals: observer.totals(),
        observer: observer.state(),
        channels: alerter.counts(),
        checks,
        audit: { intact: parts.auditProblem() === null },
        process: { started_ms, resident_bytes: Deno.memoryUsage().rss },
      }),
    supportBundle: (backend) =>
      Promise.resolve(supportBundle({ backend, version: VERSION, data: places.data })),
    config: () => ({
      file: settings.file ?? `${CONFIG_FILE} (not there: all is as by default)`,
      text: settings.text,
    }),
  };
}
