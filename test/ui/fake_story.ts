/** What happened at the fake pair in the last week, what a doctor found there, and who is told. */

import type { AlertSettings } from "../../lib/model/alerts.ts";
import type { DoctorView } from "../../lib/model/doctor.ts";
import { english } from "../../lib/model/english.ts";
import type { EventView, NewEvent } from "../../lib/model/event.ts";
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
      why: "/srv/import/old-scada.vmdk is no vmdk image",
    }),
  ],
  [86400 + 410, say("link", "b", "ok", "link.up", { line: "b" })],
  [86400 + 442, say("link", "b", "warning", "link.down", { line: "b", why: "no carrier on enp4s0" })],
  [2 * 86400, {
    ...say("vm", "press-1", "ok", "vm.verified", { result: "no difference in 16777216 blocks" }),
    actor: "user:ann",
  }],
  [3 * 86400, {
    ...say("vm", "press-1", "ok", "vm.switchover", { from: "press-b", to: "press-a", pause_ms: 38 }),
    actor: "user:ann",
  }],
  [4 * 86400, say("arbiter", "", "ok", "arbiter.reachable", { arbiter: "witness" })],
  [
    4 * 86400 + 61,
    say("arbiter", "", "warning", "arbiter.lost", { arbiter: "witness", why: "no answer in 3 s" }),
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

/** Three checks, one that failed. */
export function fakeDoctor(): DoctorView {
  return {
    at: ago(0),
    checks: [
      {
        id: "kvm",
        node: "press-a",
        state: "ok",
        title: "KVM",
        seen: "/dev/kvm works",
        why: "VMs run at full speed.",
        fix: "",
      },
      {
        id: "link-b.mtu",
        node: "press-b",
        state: "warning",
        title: "MTU of line b",
        seen: "1500",
        why: "Larger frames cost less processor time.",
        fix: "Set an MTU of 9000 on both ends if the line can carry it.",
      },
      {
        id: "watchdog",
        node: "press-b",
        state: "failed",
        title: "Hardware watchdog",
        seen: "/dev/watchdog is missing",
        why: "A machine that hangs is reset by it.",
        fix: "Load the driver of the board's watchdog, e.g. iTCO_wdt.",
      },
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
