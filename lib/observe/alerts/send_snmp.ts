/** Alerts as SNMP v2c traps; what they consist of is in examples/monitoring/ISERVFT-EDGE-MIB.txt. */

import { isIPv6 } from "node:net";
import snmp from "net-snmp";
import type { AlertChannel } from "../../model/alerts.ts";
import { type AlertMessage, bytesOf, headline, oneLine } from "./message.ts";
import { ended } from "./ended.ts";

/** Below the number for documentation (RFC 5612): this product has none of its own. */
export const BASE = "1.3.6.1.4.1.32473.7811";
/** The traps. */
export const TRAPS = {
  raised: `${BASE}.0.1`,
  repeated: `${BASE}.0.2`,
  cleared: `${BASE}.0.3`,
  event: `${BASE}.0.4`,
  test: `${BASE}.0.5`,
} as const;
/** What each of them carries. */
export const OBJECTS = {
  node: `${BASE}.1.1.0`,
  key: `${BASE}.1.2.0`,
  severity: `${BASE}.1.3.0`,
  code: `${BASE}.1.4.0`,
  text: `${BASE}.1.5.0`,
  since: `${BASE}.1.6.0`,
  id: `${BASE}.1.7.0`,
} as const;
const SEVERITIES = { ok: 0, info: 1, warning: 2, critical: 3 } as const;
/** SnmpAdminString. */
const TEXT_BYTES = 255;

/** Sends it. A trap is not acknowledged. */
export async function sendSnmp(
  message: AlertMessage,
  channel: AlertChannel & { kind: "snmp" },
  signal: AbortSignal,
): Promise<string> {
  const text = (oid: string, value: string) => ({
    oid,
    type: snmp.ObjectType.OctetString,
    value: new TextDecoder().decode(bytesOf(oneLine(value, TEXT_BYTES), TEXT_BYTES)),
  });
  const session = snmp.createSession(channel.host, channel.community, {
    version: snmp.Version2c,
    trapPort: channel.port,
    transport: isIPv6(channel.host) ? "udp6" : "udp4",
  });
  try {
    const sent = Promise.withResolvers<void>();
    session.on("error", sent.reject);
    session.trap(
      TRAPS[message.kind],
      [
        text(OBJECTS.node, message.node),
        text(OBJECTS.key, message.key),
        { oid: OBJECTS.severity, type: snmp.ObjectType.Integer, value: SEVERITIES[message.severity] },
        text(OBJECTS.code, message.code),
        text(OBJECTS.text, headline(message)),
        text(OBJECTS.since, message.since),
        text(OBJECTS.id, message.id),
      ],
      (error: Error | null) => error === null ? sent.resolve() : sent.reject(error),
    );
    await ended(sent.promise, signal);
    return "it was sent; an SNMP trap is not acknowledged";
  } finally {
    session.close();
  }
}
