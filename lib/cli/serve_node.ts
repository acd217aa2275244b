/** A node put together from its parts, in the order in which they need each other; closed in the other one. */

import type { Access } from "../access/types.ts";
import { makeDurableDirectory } from "../durable_directory.ts";
import { EdgeError } from "../errors.ts";
import { Alerter } from "../observe/alerts/alerter.ts";
import { Observer } from "../observe/observer.ts";
import { ArbiterWatch } from "../node/arbiter_watch.ts";
import { Controller, type ControllerParts } from "../node/controller.ts";
import { openDataDirectory } from "../node/data_directory.ts";
import { Disks } from "../node/disks/work.ts";
import { AlertExchange } from "../node/alert_exchange.ts";
import { EventExchange } from "../node/event_exchange.ts";
import { machineFacts, type NodeFacts, qemuText } from "../node/facts.ts";
import { type Identity, openIdentity, readIdentity } from "../node/identity.ts";
import { JobRunner } from "../node/jobs.ts";
import { isBridge } from "../node/pairing/interfaces.ts";
import { openPairing } from "../node/pairing/pairing.ts";
import type { PairControl } from "../node/pairing/types.ts";
import { VmManager } from "../node/vm/manager.ts";
import type { ServeConfig } from "../node/config.ts";
import type { HostTuning } from "../vm/host_config.ts";
import { chooseAccel } from "../vm/accel.ts";
import { specDefaults } from "../vm/spec.ts";
import { askWitness } from "../witness/probe.ts";
import { selfCommand } from "./assets.ts";
import type { ServeSettings } from "./serve.ts";
import { AuditWatch, openNodeAccess } from "./serve_access.ts";
import { told } from "./serve_told.ts";
import { VERSION } from "./version.ts";

/** How old what is said of this machine's memory and disk may be. */
const FACTS_MS = 5000;

/** A node that is open. */
export interface OpenNode extends AsyncDisposable {
  controller: Controller;
  access: Access;
  pairing: PairControl;
}

/** Says something of the service itself. */
export type Say = (level: "info" | "warning" | "error", text: string) => void;

/** Opens everything of a node but its page. Leaves nothing open when it throws. */
export async function openNode(settings: ServeSettings, say: Say): Promise<OpenNode> {
  await using stack = new AsyncDisposableStack();
  const { parts, access } = await openParts(settings, { say, stack });
  const { pairing, observer } = parts;
  const controller = stack.use(new Controller(parts));
  stack.use(
    new EventExchange({
      file: `${settings.places.data}/observe/peer_events.json`,
      node: () => settings.node,
      channel: pairing.channel,
      observer,
    }),
  );
  const happened = { severity: "info", subject: "node", name: "", actor: null } as const;
  observer.event({ ...happened, code: "node.started", params: { version: VERSION } });
  stack.defer(() => observer.event({ ...happened, code: "node.stopped", params: {} }));
  const rest = stack.move();
  return { controller, access, pairing, [Symbol.asyncDispose]: () => rest.disposeAsync() };
}

/** Sockets are below it: others may pass through (QEMU's user), and see nothing. */
function makeRunDirectory(path: string): void {
  Deno.mkdirSync(path, { recursive: true, mode: 0o711 });
}

/** Why the pair may not be dissolved; null: it may. */
function inUse(vms: VmManager | undefined): string | null {
  const running = vms?.views().filter((vm) => vm.state !== "stopped").map((vm) => vm.name) ?? [];
  return running.length === 0 ? null : running.join(", ");
}

/** The parts of the controller. All are closed by `stack`. */
async function openParts(
  settings: ServeSettings,
  { say, stack }: { say: Say; stack: AsyncDisposableStack },
): Promise<{ parts: ControllerParts; access: Access }> {
  const { config, node, places } = settings;
  const { data } = places;
  stack.use(openDataDirectory(data, VERSION));
  makeRunDirectory(places.run);
  for (const part of ["observe", "access", "vms", "tls"]) makeDurableDirectory(`${data}/${part}`, 0o700);
  const warn = (text: string) => say("warning", text);
  const observer = stack.use(await Observer.open({ directory: `${data}/observe`, node, warn }));
  const late: { vms?: VmManager } = {};
  const pairing = stack.use(
    await openPairing({
      places,
      identity: openIdentity(`${data}/identity`),
      nodeName: () => node,
      version: VERSION,
      listen: config.peer_listen,
      recorder: observer,
      now: Date.now,
      mayRemove: () => inUse(late.vms),
      mayReplace: () => late.vms === undefined ? "The service is beginning." : late.vms.whyNotReplace(),
      unfit: (settings, options) => late.vms?.unfit(settings, options) ?? null,
    }),
  );
  const disks = new Disks({
    directory: `${data}/vms`,
    used: () => usedDisks(late.vms, `${data}/vms`),
    user: config.qemu_user,
  });
  disks.removeLeftovers();
  const vms = stack.use(
    await VmManager.open({
      places,
      self: selfCommand(),
      node: () => ({ id: pairing.id, name: node }),
      peer: pairing.channel,
      recorder: observer,
      pairSettings: () => pairing.settings(),
      pairKeyId: () => pairing.keyId(),
      disks,
      history: (name, range) => observer.history(name, range),
      tuning: tuningOf(config),
      images: config.images,
      isBridge,
    }),
  );
  late.vms = vms;
  stack.use(pairing.onChange(() => vms.pairChanged()));
  const jobs = stack.use(new JobRunner());
  const alerter = stack.use(new Alerter({ directory: `${data}/observe`, node, observer, warn }));
  stack.use(new AlertExchange({ channel: pairing.channel, alerts: alerter }));
  const arbiter = stack.use(
    new ArbiterWatch({
      settings: () => pairing.settings(),
      recorder: observer,
      probes: {
        witness: (witness) => askWitness(witness, { identity: ownIdentity(data), version: VERSION }),
      },
    }),
  );
  const access = stack.use(
    await openNodeAccess({ directory: `${data}/access`, label: node, recorder: observer }),
  );
  const audit = stack.use(new AuditWatch(access, warn));
  const auditProblem = () => audit.problem;
  const facts = await factsOf(settings, pairing);
  const parts = { facts, pairing, vms, jobs, disks, observer, alerter, arbiter };
  return {
    access,
    parts: {
      ...parts,
      ...told({ settings, pairing, vms, observer, alerter, arbiter, jobs, auditProblem }),
      auditProblem,
      now: Date.now,
    },
  };
}

/** What of the file is for the runners. */
/** The one that this node has now: `pair rotate` makes another. Never makes one: it was there when the node started. */
function ownIdentity(data: string): Identity {
  const identity = readIdentity(`${data}/identity`);
  if (identity !== null) return identity;
  throw new EdgeError(`${data}/identity has no identity.pem any more`, {
    op: "ask the witness",
    hint: "Restore it with `iservft-edge backup restore`.",
  });
}

function tuningOf({ qemu, qemu_user, fencing, rhythm, sync }: ServeConfig): HostTuning {
  return { qemu, qemu_user, fencing, rhythm, sync };
}

function usedDisks(vms: VmManager | undefined, directory: string): { vm: string; path: string }[] {
  return vms?.views().flatMap((vm) =>
    vm.disks.map(({ path }) => ({ vm: vm.name, path: path.startsWith("/") ? path : `${directory}/${path}` }))
  ) ?? [];
}

/** What this node says of itself; what passes is read again every few seconds. */
async function factsOf(settings: ServeSettings, pairing: PairControl): Promise<() => NodeFacts> {
  const { node, places, config, listen } = settings;
  const qemu = await qemuText(config.qemu);
  const started = new Date().toISOString();
  let accel: "kvm" | "tcg" | null = null;
  // A small guest is booted to see, once a boot: the page need not wait for it.
  void accelHere(settings).then((found) => accel = found);
  const look = () => machineFacts({ data: places.data, accel });
  let read = { at: -Infinity, facts: look() };
  return () => {
    const at = performance.now();
    if (at - read.at > FACTS_MS || read.facts.accel !== accel) read = { at, facts: look() };
    const lan = pairing.settings()?.lan?.local;
    return {
      ...read.facts,
      id: pairing.id,
      name: node,
      version: VERSION,
      qemu,
      started,
      url: lan === undefined ? null : `https://${lan}:${listen.port}/`,
    };
  };
}

/** What VMs would run under here; null: it cannot be told. The runners have the same file to remember it by. */
async function accelHere({ places, config }: ServeSettings): Promise<"kvm" | "tcg" | null> {
  try {
    const cache = {
      file: `${places.data}/vms/kvm.json`,
      bootId: Deno.readTextFileSync("/proc/sys/kernel/random/boot_id"),
    };
    return (await chooseAccel({ accel: "auto", cpu: specDefaults().cpu, binary: config.qemu }, cache)).accel;
  } catch {
    return null;
  }
}
