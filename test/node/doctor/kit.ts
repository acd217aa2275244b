import type { DoctorProbes } from "../../../lib/node/doctor/probes.ts";
import type { Finding, Subject } from "../../../lib/node/doctor/types.ts";

const GIB = 2 ** 30;
export const PING_OK =
  "50 packets transmitted, 50 received, 0% packet loss, time 999ms\nrtt min/avg/max/mdev = 0.1/0.254/0.4/0.05 ms\n";

/** Files of a machine on which all is well. */
export const FILES: Record<string, string> = {
  "/proc/cpuinfo":
    "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel N100\nflags\t\t: fpu vmx sse2\n",
  "/proc/self/limits": "Max open files            65536                65536                files\n",
  "/proc/net/tcp":
    "  sl  local_address rem_address   st\n   0: 00000000:20FB 00000000:0000 0A 0\n   1: 0100007F:1E8E 00000000:0000 0A 0\n",
  "/etc/passwd": "root:x:0:0::/root:/bin/sh\niservft-qemu:x:990:990::/:/usr/sbin/nologin\n",
  "/sys/class/net/eth1/speed": "2500\n",
  "/sys/class/net/eth1/duplex": "full\n",
  "/sys/class/net/eth1/carrier": "1\n",
  "/sys/class/net/eth1/mtu": "1500\n",
  "/sys/class/net/eth2/speed": "1000\n",
  "/sys/class/net/eth2/duplex": "full\n",
  "/sys/class/net/eth2/carrier": "1\n",
  "/sys/class/net/eth2/mtu": "1500\n",
  "/sys/class/net/br0/speed": "1000\n",
  "/sys/class/net/br0/carrier": "1\n",
  "/sys/class/net/br0/mtu": "1500\n",
  "/sys/class/net/br0/bridge/forward_delay": "1500\n",
  "/sys/class/net/br0/bridge/stp_state": "0\n",
  "/sys/class/net/isf0/tun_flags": "0x1002\n",
  "/sys/class/watchdog/watchdog0/identity": "iTCO_wdt\n",
  "/sys/kernel/mm/transparent_hugepage/shmem_enabled": "always within_size advise [never] deny force\n",
};
export const LISTS: Record<string, string[]> = {
  "/run/systemd/system": [],
  "/sys/class/watchdog": ["watchdog0"],
  "/sys/class/net/br0": ["bridge"],
  "/sys/class/net/br0/bridge": ["stp_state"],
  "/sys/class/net/br0/brif": ["eth0", "isf0"],
};

/** What differs from a machine on which all is well. */
export interface Fault {
  probes?: Partial<DoctorProbes>;
  files?: Record<string, string | null>;
  lists?: Record<string, string[] | null>;
  /** Answers of programs, by the beginning of their command lines. */
  runs?: Record<string, { code: number; said: string } | null>;
  subject?: Partial<Subject>;
}

const RUNS: NonNullable<Fault["runs"]> = {
  "ping": { code: 0, said: PING_OK },
  "nft": { code: 0, said: "" },
  "timedatectl": { code: 0, said: "yes\n" },
  "qemu-img": { code: 0, said: "qemu-img version 7.2.22\n" },
};

/** A machine. */
export function machine(fault: Fault = {}): DoctorProbes {
  const files = { ...FILES, ...fault.files };
  const lists = { ...LISTS, ...fault.lists };
  const runs = { ...RUNS, ...fault.runs };
  return {
    root: true,
    release: "6.12.5-amd64",
    read: (path) => files[path] ?? null,
    list: (path) => lists[path] ?? null,
    opens: () => "yes",
    run(argv) {
      const line = argv.join(" ");
      const keys = Object.keys(runs).filter((key) =>
        key.split(" ").every((word) => ` ${line} `.includes(` ${word} `))
      );
      const key = keys.toSorted((a, b) => b.length - a.length)[0];
      return Promise.resolve(key === undefined ? null : runs[key] ?? null);
    },
    kvm: () => Promise.resolve({ works: true, reason: "" }),
    qemu: () => Promise.resolve({ version: "7.2.22", machines: ["pc-q35-7.2", "pc-q35-7.1"] }),
    space: () => ({ free: 100 * GIB, total: 200 * GIB }),
    syncs: () => Promise.resolve([900, 1000, 1100]),
    addresses: () => [
      { name: "eth1", address: "10.0.1.1" },
      { name: "eth2", address: "10.0.2.1" },
      { name: "br0", address: "192.168.1.11" },
    ],
    memory: () => ({ total: 16 * GIB, available: 8 * GIB }),
    digest: () => Promise.resolve("ab".repeat(32)),
    ...fault.probes,
  };
}

/** The node that is looked at. */
export function subject(part: Partial<Subject> = {}): Subject {
  return {
    node: "left",
    version: "0.1.0",
    qemu: "qemu-system-x86_64",
    qemuUser: "iservft-qemu",
    cpu: "Nehalem",
    data: "/var/lib/iservft-edge",
    listens: [{ port: 8443, what: "the page" }],
    vmPorts: [7820],
    settings: {
      link_a: { local: "10.0.1.1", peer: "10.0.1.2" },
      link_b: { local: "10.0.2.1", peer: "10.0.2.2" },
      lan: { local: "192.168.1.11", peer: "192.168.1.12", bridge: "br0", reference: "192.168.1.1" },
      arbiter: "lan",
      witness: null,
      takeover_ms: 150,
    },
    arbiter: { kind: "lan", state: "reachable", address: "192.168.1.1", id: null, since: null },
    clockOffsetMs: 12,
    watchdog: "auto",
    kernelLease: true,
    ...part,
  };
}

/** The finding of this id. */
export function byId(findings: readonly Finding[], id: string): Finding {
  const found = findings.find((one) => one.id === id);
  if (found === undefined) throw new Error(`${id} is not among ${findings.map((one) => one.id).join(", ")}`);
  return found;
}
