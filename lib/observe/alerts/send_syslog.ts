/** Alerts by syslog: RFC 5424, over UDP (RFC 5426) or TCP with octet counting (RFC 6587). */

import { createSocket } from "node:dgram";
import { connect, isIPv6 } from "node:net";
import type { AlertChannel } from "../../model/alerts.ts";
import { type AlertMessage, bytesOf, headline, oneLine } from "./message.ts";
import { ended } from "./ended.ts";

/** daemon. */
const FACILITY = 3;
const SEVERITY = { critical: 2, warning: 4, ok: 5, info: 6 } as const;
/** Private enterprise number of documentation (RFC 5612): this product has none of its own. */
const ENTERPRISE = 32473;
/** Receivers should take 2048 bytes. */
const TEXT_BYTES = 1_200;

/** A field of the header: visible ASCII without spaces; "-" when nothing is left. */
function field(text: string, most: number): string {
  const visible = text.replace(/[^!-~]/g, "_").slice(0, most);
  return visible === "" ? "-" : visible;
}

function parameter(name: string, value: string): string {
  return `${name}="${oneLine(value, 200).replace(/[\\"\]]/g, "\\$&")}"`;
}

/** The message as it goes over the wire. */
export function syslogMessage(message: AlertMessage): Uint8Array {
  const severity = message.kind === "cleared" ? "ok" : message.kind === "test" ? "info" : message.severity;
  const header = [
    `<${FACILITY * 8 + SEVERITY[severity]}>1`,
    field(message.at, 40),
    field(message.node, 255),
    "iservft-edge",
    String(Deno.pid),
    field(message.code, 32),
  ];
  const data = [
    `iservft@${ENTERPRISE}`,
    parameter("kind", message.kind),
    parameter("key", message.key),
    parameter("severity", message.severity),
    parameter("id", message.id),
  ];
  const head = new TextEncoder().encode(`${header.join(" ")} [${data.join(" ")}] `);
  const text = bytesOf(headline(message), TEXT_BYTES);
  // The mark says that the text is UTF-8.
  return new Uint8Array([...head, 0xef, 0xbb, 0xbf, ...text]);
}

async function overUdp(bytes: Uint8Array, channel: { host: string; port: number }, signal: AbortSignal) {
  const socket = createSocket(isIPv6(channel.host) ? "udp6" : "udp4");
  try {
    const sent = Promise.withResolvers<void>();
    socket.on("error", sent.reject);
    socket.send(bytes, channel.port, channel.host, (error) => error ? sent.reject(error) : sent.resolve());
    await ended(sent.promise, signal);
  } finally {
    socket.close();
  }
  return "it was sent; UDP does not say whether it arrived";
}

async function overTcp(bytes: Uint8Array, channel: { host: string; port: number }, signal: AbortSignal) {
  const socket = connect({ host: channel.host, port: channel.port });
  try {
    const done = Promise.withResolvers<void>();
    socket.on("error", done.reject);
    // The receiver's end of the connection comes after it read all of ours.
    socket.on("close", () => done.resolve());
    socket.on("data", () => {});
    const count = new TextEncoder().encode(`${bytes.length} `);
    socket.end(new Uint8Array([...count, ...bytes]));
    await ended(done.promise, signal);
  } finally {
    socket.destroy();
  }
  return "it was sent, and the connection ended well";
}

/** Sends it; returns how that went. */
export async function sendSyslog(
  message: AlertMessage,
  channel: AlertChannel & { kind: "syslog" },
  signal: AbortSignal,
): Promise<string> {
  const bytes = syslogMessage(message);
  return await (channel.protocol === "udp" ? overUdp : overTcp)(bytes, channel, signal);
}
