/** What happened at the fake pair in the last week, what a doctor found there, and who is told. */

import type { AlertSettings } from "../../lib/model/alerts.ts";
import type { CheckView, DoctorView } from "../../lib/model/doctor.ts";
import { DOCTOR_ENGLISH, type DoctorCode, doctorTexts } from "../../lib/model/doctor_english.ts";
import { english } from "../../lib/model/english.ts";
import type { EventView, NewEvent } from "../../lib/model/event.ts";
import type { Params } from "../../lib/model/sentence.ts";
import { ago } from "./fake_data.ts";

const STORY: readonly [seconds: number, event: NewEvent][] = [
  [190, say("vm", "historian", "warning", "vm.syncing")],
  [192, say("vm", "historian", "info", "vm.runs", { node: "press-a" })],
  [195, { ...say("vm", "historian", "info", "vm.starting"), actor: "user:ann" }],
  [
    1258,
    say("job", "old-scada", "warning", "job.failed", {
      kind: "import",
      subject: "old-scada",
      why: "/srv/import/old-scada.vmdk is no vmdk image, but a qcow2 image",
    }),
  ],
  [86400 + 410, say("link", "b", "ok", "link.up", { line: "b" })],
  [
    86400 + 442,
    say("link", "b", "warning", "link.down", {
      line: "b",
      why: "enp4s0 has no carrier: its cable is out, or the other end is off",
    }),
  ],
  [2 * 86400, {
    ...say("vm", "press-1", "ok", "vm.verified", { result: "byte for byte the same" }),
    actor: "user:ann",
  }],
  [3 * 86400, {
    ...say("vm", "press-1", "ok", "vm.switchover", { from: "press-b", to: "press-a", pause_ms: 38 }),
    actor: "user:ann",
  }],
  [4 * 86400, say("arbiter", "", "ok", "arbiter.reachable", { arbiter: "witness" })],
  [
    4 * 86400 + 61,
    say("arbiter", "", "warning", "arbiter.lost", {
      arbiter: "witness",
      why: "192.168.40.20 does not answer",
    }),
  ],
  [5 * 86400, { ...say("user", "chen", "info", "user.created", { user: "chen" }), actor: "user:ann" }],
  [6 * 86400 - 30, say("vm", "press-1", "ok", "vm.protected")],
  [6 * 86400 - 10, say("node", "", "ok", "node.peer_up", { node: "press-b" })],
  [6 * 86400, say("node", "", "info", "node.started", { version: "0.1.0" })],
];

function say(
  ...[subject, name, severity, code, params]: [
    EventView["subject"],
    string,
    EventView["severity"],
    string,
    EventView["params"]?,
  ]
): NewEvent {
  return { subject, name, severity, code, params: params ?? {}, actor: null };
}

/** What happened in the last week, newest first. */
export function fakeEvents(): EventView[] {
  return STORY.map(([seconds, event], i) => ({
    ...event,
    id: STORY.length - i,
    at: ago(seconds),
    node: "press-a",
    text: english(event),
  }));
}

function check(
  node: string,
  id: string,
  { state, code, params = {} }: { state: CheckView["state"]; code: DoctorCode; params?: Params },
): CheckView {
  const texts = doctorTexts(DOCTOR_ENGLISH, { code, params })!;
  return { node, id, state, ...texts, fix: state === "ok" ? "" : texts.fix, code, params };
}

/** Some checks of the kinds that there are, one that failed. */
export function fakeDoctor(): DoctorView {
  const line = { line: "Line B", device: "enp4s0" };
  const cpus = { both: "Both: Intel Core i7-1370PE", only: "only press-a has avx512f, avx512bw" };
  return {
    at: ago(0),
    checks: [
      check("press-a", "kvm", { state: "ok", code: "kvm.works", params: { cpu: "Nehalem" } }),
      check("press-a", "port.8443", {
        state: "ok",
        code: "port.open",
        params: { port: "8443", what: "the page" },
      }),
      check("press-a", "user", { state: "info", code: "user.root" }),
      check("press-a", "clock.sync", { state: "unknown", code: "clock.unknown" }),
      check("press-b", "link-b.mtu", {
        state: "warning",
        code: "mtu.stuck",
        params: { ...line, bytes: "9000" },
      }),
      check("press-b", "disk.sync", {
        state: "warning",
        code: "sync.measured",
        params: { count: 214, half: "3.10 ms", most: "221 ms" },
      }),
      check("press-b", "watchdog", { state: "failed", code: "watchdog.none" }),
      check("press-a+press-b", "pair.qemu", {
        state: "warning",
        code: "pair_qemu.older",
        params: { both: "press-a: 8.2.1; press-b: 7.2.22", node: "press-b" },
      }),
      check("press-a+press-b", "pair.firmware", {
        state: "warning",
        code: "pair_firmware.compared",
        params: { both: "press-a: /usr/share/OVMF/OVMF_CODE.fd (9f2c01ab34de); press-b: none" },
      }),
      check("press-a+press-b", "pair.cpu", { state: "info", code: "pair_cpu.features", params: cpus }),
    ],
  };
}

/** Two channels; secrets show as "set". */
export function fakeAlertSettings(): AlertSettings {
  return {
    channels: [
      {
        kind: "email",
        name: "maintenance",
        enabled: true,
        host: "mail.plant.example",
        port: 587,
        security: "starttls",
        user: "press",
        password: "set",
        from: "press@plant.example",
        to: ["maintenance@plant.example"],
      },
      {
        kind: "snmp",
        name: "control room",
        enabled: true,
        host: "192.168.40.30",
        port: 162,
        community: "set",
      },
    ],
    threshold: "warning",
    repeat_s: 3600,
  };
}
