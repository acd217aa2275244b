/** Views to test with: two nodes, well and paired, and VMs as wanted. */

import type { NodeView, PairView } from "../../lib/model/node.ts";
import type { VmState, VmView } from "../../lib/model/vm.ts";

export const AT = "2026-01-02T03:04:05.000Z";

export function node(name: string, more: Partial<NodeView> = {}): NodeView {
  return {
    id: name,
    name,
    self: name === "a",
    reachable: true,
    since: AT,
    version: "0.1.0",
    qemu: "7.2.0",
    kernel: "6.12",
    accel: "kvm",
    cpu_model: "a CPU",
    cpus: 4,
    memory_mib: 16384,
    memory_free_mib: 8192,
    disk_bytes: 1e12,
    disk_free_bytes: 5e11,
    clock_offset_ms: 0,
    privileged: true,
    started: AT,
    url: null,
    ...more,
  };
}

export function pair(more: Partial<PairView> = {}): PairView {
  const path = (name: "a" | "b" | "lan") => ({
    name,
    state: "up" as const,
    since: AT,
    local: null,
    peer: null,
    interface: null,
    speed_mbit: 1000,
    rtt_us: 200,
    active: name === "a",
    out_mbit: 0,
    in_mbit: 0,
  });
  return {
    pairing: { step: "paired", peer_name: "b", peer_id: "b", since: AT },
    settings: {
      link_a: { local: "10.0.1.1", peer: "10.0.1.2" },
      link_b: null,
      lan: null,
      arbiter: "witness",
      witness: null,
      takeover_ms: 150,
    },
    paths: [path("a"), path("b"), path("lan")],
    arbiter: { kind: "witness", state: "reachable", address: null, id: null, since: AT },
    ...more,
  };
}

export function vm(name: string, state: VmState, more: Partial<VmView> = {}): VmView {
  return {
    name,
    state,
    verdict: { severity: "ok", said: { code: "state.protected", params: {} }, since: AT, next: null },
    detail: null,
    runs_on: "a",
    backup_on: "b",
    here: "primary",
    memory_mib: 512,
    vcpus: 1,
    disks: [],
    nics: [],
    screen: false,
    serial: true,
    firmware: "bios",
    wanted: { running: true, protected: true },
    revision: 1,
    replicated: true,
    term: 1,
    epoch: 1,
    sync: null,
    sample: null,
    actions: {} as VmView["actions"],
    last_switchover: null,
    ...more,
  };
}
