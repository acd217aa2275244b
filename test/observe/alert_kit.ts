/** Channels, messages and certificates for the tests of alerts. */

import assert from "node:assert/strict";
import { type AlertChannel, alertChannel, type AlertSettings } from "../../lib/model/alerts.ts";
import type { AlertMessage } from "../../lib/observe/alerts/message.ts";

type Of<Kind> = Partial<AlertChannel & { kind: Kind }>;

export function email(other: Of<"email"> = {}): AlertChannel {
  return alertChannel.parse({
    ...{ kind: "email", name: "mail", host: "127.0.0.1", from: "edge@plant.test", to: ["ann@plant.test"] },
    ...other,
  });
}

export function webhook(url: string, other: Of<"webhook"> = {}): AlertChannel {
  return alertChannel.parse({ kind: "webhook", name: "hook", url, ...other });
}

export function syslog(port: number, other: Of<"syslog"> = {}): AlertChannel {
  return alertChannel.parse({ kind: "syslog", name: "log", host: "127.0.0.1", port, ...other });
}

export function snmp(port: number, other: Of<"snmp"> = {}): AlertChannel {
  return alertChannel.parse({ kind: "snmp", name: "trap", host: "127.0.0.1", port, ...other });
}

export function settings(channels: AlertChannel[], other: Partial<AlertSettings> = {}): AlertSettings {
  return { channels, threshold: "warning", repeat_s: 3600, ...other };
}

export function message(other: Partial<AlertMessage> = {}): AlertMessage {
  return {
    id: crypto.randomUUID(),
    kind: "raised",
    at: "2026-03-01T12:00:05.000Z",
    node: "press-a",
    key: "vm/press-1/failed",
    severity: "critical",
    code: "alert.vm_failed",
    params: { vm: "press-1" },
    text: "VM press-1 should run, and does not. 狀態",
    since: "2026-03-01T12:00:00.000Z",
    ...other,
  };
}

/** A server's own certificate, not one that signs others. */
const NO_CA = ["-addext", "basicConstraints=critical,CA:FALSE"];

/** A key and a self-signed certificate for 127.0.0.1. */
export async function certificate(): Promise<{ key: string; cert: string }> {
  const directory = await Deno.makeTempDir();
  const [key, cert] = [`${directory}/key`, `${directory}/cert`];
  const made = await new Deno.Command("openssl", {
    args: [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"],
      ...[
        "-subj",
        "/CN=127.0.0.1",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        ...NO_CA,
        "-keyout",
        key,
        "-out",
        cert,
      ],
    ],
    stdin: "null",
  }).output();
  assert.ok(made.success, new TextDecoder().decode(made.stderr));
  const pair = { key: await Deno.readTextFile(key), cert: await Deno.readTextFile(cert) };
  await Deno.remove(directory, { recursive: true });
  return pair;
}

/** A port of loopback on which nobody listens. */
export function deadPort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 }) as Deno.TcpListener & Disposable;
  return (listener.addr as Deno.NetAddr).port;
}

/** What comes one after the other, waited for. */
export class Inbox<T> {
  readonly all: T[] = [];
  readonly #waiting: (() => void)[] = [];

  put(value: T): void {
    this.all.push(value);
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** All of them when there are this many. */
  async until(number: number): Promise<T[]> {
    while (this.all.length < number) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this.all;
  }
}
