/** A pair as a plant might have it: press-a and press-b, three VMs in different states. All from a fixed instant, so that tests repeat. */

import type { AlertView } from "../../lib/model/alerts.ts";
import { english } from "../../lib/model/english.ts";
import type { NodeView, PairView, PathView } from "../../lib/model/node.ts";
import { explained } from "../../lib/model/problem_english.ts";
import { homeVerdict, whatIf } from "../../lib/model/verdicts.ts";
import type { Verdict } from "../../lib/model/sentence.ts";
import type { Backend, Snapshot } from "../../lib/model/backend.ts";
import {
  type JobView,
  type SwitchoverView,
  VM_ACTIONS,
  type VmAction,
  type VmSample,
  type VmView,
} from "../../lib/model/vm.ts";

/** "Now" of the fake, Unix ms. */
export const NOW_MS = Date.UTC(2026, 2, 17, 8, 30, 0);
const GIB = 1024 ** 3;
const DAY_MS = 86_400_000;

/** ISO 8601, `seconds` before the fake's now. */
export function ago(seconds: number): string {
  return new Date(NOW_MS - seconds * 1000).toISOString();
}

function verdict(
  severity: Verdict["severity"],
  code: string,
  more: { params?: Record<string, string | number>; since?: string; next?: Verdict["next"] } = {},
): Verdict {
  return {
    severity,
    said: { code, params: more.params ?? {} },
    since: more.since ?? null,
    next: more.next ?? null,
  };
}

/** The two nodes, press-a being the one that answers. */
export function fakeNodes(): NodeView[] {
  const common = {
    reachable: true,
    since: ago(6 * 86400),
    version: "0.1.0",
    qemu: "7.2.22",
    kernel: "6.12.48",
    accel: "kvm" as const,
    cpu_model: "Intel Core i7-1370PE",
    cpus: 14,
    memory_mib: 32768,
    disk_bytes: 1000 * GIB,
    clock_offset_ms: 0,
    privileged: true,
    started: ago(6 * 86400),
  };
  return [
    {
      ...common,
      id: "7Q4K-2ZHM-P9XA-C3TD-8LWE-55",
      name: "press-a",
      self: true,
      memory_free_mib: 21480,
      disk_free_bytes: 712 * GIB,
      url: "https://192.168.40.11:8443",
    },
    {
      ...common,
      id: "M2RB-9VKC-44TN-J7QE-XH6P-18",
      name: "press-b",
      self: false,
      memory_free_mib: 22904,
      disk_free_bytes: 705 * GIB,
      clock_offset_ms: 3.2,
      url: "https://192.168.40.12:8443",
    },
  ];
}

/** Links a and b, and the LAN. */
export function fakePaths(): PathView[] {
  const up = { state: "up" as const, since: ago(6 * 86400) };
  return [
    {
      ...up,
      name: "a",
      local: "10.77.1.1",
      peer: "10.77.1.2",
      interface: "enp3s0",
      speed_mbit: 1000,
      rtt_us: 182,
      active: true,
      out_mbit: 214.6,
      in_mbit: 3.1,
    },
    {
      ...up,
      name: "b",
      local: "10.77.2.1",
      peer: "10.77.2.2",
      interface: "enp4s0",
      speed_mbit: 1000,
      rtt_us: 195,
      active: false,
      out_mbit: 0,
      in_mbit: 0,
    },
    {
      ...up,
      name: "lan",
      local: "192.168.40.11",
      peer: "192.168.40.12",
      interface: "br0",
      speed_mbit: 1000,
      rtt_us: 410,
      active: false,
      out_mbit: null,
      in_mbit: null,
    },
  ];
}

/** What the node could use for a pair. */
export function fakeInterfaces(): Awaited<ReturnType<Backend["pair"]["suggest"]>>["interfaces"] {
  const up = { speed_mbit: 1000, bridge: false, carrier: true };
  return [
    { ...up, name: "enp3s0", address: "10.77.1.1", prefix: 24 },
    { ...up, name: "enp4s0", address: "10.77.2.1", prefix: 24 },
    { ...up, name: "br0", address: "192.168.40.11", prefix: 24, bridge: true },
  ];
}

/** A pair with all that can be set. */
export function fakePair(): PairView {
  return {
    pairing: {
      step: "paired",
      peer_name: "press-b",
      peer_id: "M2RB-9VKC-44TN-J7QE-XH6P-18",
      since: ago(41 * 86400),
    },
    settings: {
      link_a: { local: "10.77.1.1", peer: "10.77.1.2" },
      link_b: { local: "10.77.2.1", peer: "10.77.2.2" },
      lan: { local: "192.168.40.11", peer: "192.168.40.12", bridge: "br0", reference: "192.168.40.1" },
      arbiter: "witness",
      witness: { address: "192.168.40.20", port: 7810, id: "W8FA-K3ND-66PL-2TQX-ZB4R-90", pair: "press" },
      takeover_ms: 150,
    },
    paths: fakePaths(),
    arbiter: {
      kind: "witness",
      state: "reachable",
      address: "192.168.40.20:7810",
      id: "W8FA-K3ND-66PL-2TQX-ZB4R-90",
      since: ago(6 * 86400),
    },
  };
}

function actions(open: readonly VmAction[], why: Partial<Record<VmAction, string>> = {}): VmView["actions"] {
  return Object.fromEntries(
    VM_ACTIONS.map((action) => [
      action,
      open.includes(action)
        ? { ok: true, why: "" }
        : { ok: false, why: why[action] ?? "Nothing waits for it." },
    ]),
  ) as VmView["actions"];
}

/** One second of a VM's life at `t_ms`: a day's rhythm, some noise; every 97th was not measured. */
export function fakeSample(t_ms: number, load = 1): VmSample {
  const n = Math.floor(t_ms / 1000);
  const day = 0.5 + 0.5 * Math.sin((t_ms % DAY_MS) / DAY_MS * 2 * Math.PI);
  const noise = ((n * 2654435761) % 1000) / 1000;
  if (n % 97 === 0) {
    return {
      t_ms,
      checkpoints_per_s: null,
      pause_us: null,
      pause_p99_us: null,
      latency_us: null,
      latency_p99_us: null,
      out_mbit: null,
      dirty_pages: null,
      page_bytes: null,
    };
  }
  const busy = load * (0.3 + 0.7 * day) * (0.8 + 0.4 * noise);
  return {
    t_ms,
    checkpoints_per_s: Math.round((20 + 60 * busy) * 10) / 10,
    pause_us: Math.round(1100 + 900 * busy),
    pause_p99_us: Math.round(2400 + 2600 * busy),
    latency_us: Math.round(2600 + 1900 * busy),
    latency_p99_us: Math.round(5200 + 5200 * busy),
    out_mbit: Math.round(260 * busy * 10) / 10,
    dirty_pages: Math.round(300 + 1900 * busy),
    page_bytes: Math.round(420 + 300 * noise),
  };
}

const PAST: SwitchoverView[] = [
  { at: ago(3 * 86400), by: "user:ann", from: "press-b", to: "press-a", pause_ms: 38, ok: true, detail: "" },
  { at: ago(17 * 86400), by: "user:ann", from: "press-a", to: "press-b", pause_ms: 44, ok: true, detail: "" },
  {
    at: ago(18 * 86400),
    by: "user:chen",
    from: "press-a",
    to: "press-b",
    pause_ms: null,
    ok: false,
    detail: "Protected: safe to lose either machine.",
  },
];

/** The past switchovers of press-1. */
export function fakeSwitchovers(): SwitchoverView[] {
  return structuredClone(PAST);
}

function vm(name: string, more: Partial<VmView> & Pick<VmView, "state" | "verdict" | "actions">): VmView {
  return {
    name,
    detail: null,
    runs_on: "press-a",
    backup_on: "press-b",
    here: "primary",
    memory_mib: 4096,
    vcpus: 2,
    disks: [{ path: "disk0.img", bytes: 64 * GIB }],
    nics: [{ mac: "52:54:00:6a:10:01", bridge: "br0", model: "virtio-net" }],
    settings: {
      cpu: "Nehalem",
      stop_s: 30,
      nics: [{ mac: "52:54:00:6a:10:01", bridge: "br0", model: "virtio-net", boot: null }],
      degradation: { order: ["longer", "slower"], max_added_ms: 500, throttle_max_percent: 80 },
    },
    screen: true,
    serial: true,
    firmware: "bios",
    wanted: { running: true, protected: true },
    revision: 3,
    replicated: true,
    term: 12,
    epoch: 4_881_207,
    sync: null,
    sample: null,
    last_switchover: null,
    ...more,
  };
}

/** press-1 is protected, historian is being copied, spare-hmi is stopped. */
export function fakeVms(): VmView[] {
  return [
    vm("press-1", {
      state: "protected",
      verdict: verdict("ok", "state.protected", { since: ago(3 * 86400) }),
      detail: "Protected: safe to lose either machine.",
      sample: fakeSample(NOW_MS - 1000),
      last_switchover: PAST[0]!,
      actions: actions(["stop", "unprotect", "switchover", "verify"], {
        start: "It runs.",
        delete: "Stop it first.",
        protect: "It is protected, or will be as soon as it can be.",
      }),
    }),
    vm("historian", {
      state: "syncing",
      verdict: verdict("warning", "state.syncing", {
        params: { node: "press-b", percent: 62 },
        since: ago(190),
        next: { code: "next.wait_sync", params: { seconds: 74 } },
      }),
      detail:
        "Syncing (62 % of 22125 MiB, 896 Mbit/s, 74 s left): the VM runs on this host and is not protected yet.",
      memory_mib: 8192,
      vcpus: 4,
      disks: [{ path: "disk0.img", bytes: 32 * GIB }, { path: "/dev/vg0/historian", bytes: 200 * GIB }],
      nics: [{ mac: "52:54:00:6a:10:02", bridge: "br0", model: "virtio-net" }],
      term: 4,
      epoch: 90_112,
      sync: { done_bytes: 14.6e9, total_bytes: 23.2e9, rate_bytes_per_s: 112e6, eta_s: 74 },
      sample: fakeSample(NOW_MS - 1000, 0.4),
      actions: actions(["stop", "unprotect"], {
        start: "It runs.",
        delete: "Stop it first.",
        switchover: "It is possible only while the VM is protected.",
      }),
    }),
    vm("spare-hmi", {
      state: "stopped",
      verdict: verdict("info", "state.stopped", {
        since: ago(11 * 86400),
        next: { code: "next.start_vm", params: {} },
      }),
      runs_on: null,
      backup_on: null,
      here: "none",
      memory_mib: 2048,
      vcpus: 1,
      disks: [{ path: "disk0.img", bytes: 20 * GIB }],
      nics: [{ mac: "52:54:00:6a:10:03", bridge: "br0", model: "e1000e" }],
      wanted: { running: false, protected: true },
      term: 2,
      epoch: null,
      actions: actions(["start", "delete"], {
        stop: "It is stopped already.",
        switchover: "It is stopped already.",
        protect: "It is stopped already.",
      }),
    }),
  ];
}

/** One job that runs, and one that failed. */
export function fakeJobs(): JobView[] {
  return [
    {
      id: "job-7",
      kind: "import",
      subject: "mes-gateway",
      state: "running",
      done: 9.4e9,
      total: 21.5e9,
      unit: "bytes",
      rate_per_s: 168e6,
      eta_s: 72,
      started: ago(56),
      ended: null,
      error: null,
    },
    {
      id: "job-6",
      kind: "import",
      subject: "old-scada",
      state: "failed",
      done: 0,
      total: 1,
      unit: "steps",
      rate_per_s: null,
      eta_s: null,
      started: ago(1260),
      ended: ago(1258),
      error: explained("import.other_format", {
        path: "/srv/import/old-scada.vmdk",
        format: "vmdk",
        is: "a qcow2 image",
        found: "qcow2",
      }),
    },
  ];
}

/** What lasts now. */
export function fakeAlerts(): AlertView[] {
  const params = { vm: "historian", node: "press-a" };
  return [{
    key: "vm/historian/unprotected",
    severity: "warning",
    code: "alert.vm_unprotected",
    params,
    text: english({ code: "alert.vm_unprotected", params }),
    since: ago(190),
  }];
}

/** The home page's snapshot, with the sentences that the product finds for it. */
export function fakeSnapshot(): Snapshot {
  const situation = { nodes: fakeNodes(), pair: fakePair(), vms: fakeVms() };
  return {
    ...situation,
    home: homeVerdict(situation),
    jobs: fakeJobs(),
    alerts: fakeAlerts(),
    what_if: whatIf(situation),
    revision: 1,
    at: ago(0),
  };
}
