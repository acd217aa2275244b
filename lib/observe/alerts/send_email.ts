/** Alerts by e-mail. */

import nodemailer from "nodemailer";
import type { AlertChannel } from "../../model/alerts.ts";
import { type AlertMessage, headline, letter } from "./message.ts";
import { ended } from "./ended.ts";

const WAIT_MS = 15_000;

/** Sends it; returns what the server said. */
export async function sendEmail(
  message: AlertMessage,
  channel: AlertChannel & { kind: "email" },
  signal: AbortSignal,
): Promise<string> {
  const transport = nodemailer.createTransport({
    host: channel.host,
    port: channel.port,
    secure: channel.security === "tls",
    // Without STARTTLS nothing is sent, rather than in the clear.
    requireTLS: channel.security === "starttls",
    ignoreTLS: channel.security === "none",
    ...(channel.user === "" ? {} : { auth: { user: channel.user, pass: channel.password } }),
    tls: {
      rejectUnauthorized: true,
      minVersion: "TLSv1.2",
      ...(channel.ca === undefined || channel.ca === "" ? {} : { ca: channel.ca }),
    },
    connectionTimeout: WAIT_MS,
    greetingTimeout: WAIT_MS,
    socketTimeout: WAIT_MS,
    dnsTimeout: WAIT_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const stop = () => transport.close();
  signal.addEventListener("abort", stop);
  try {
    const sent = await ended(
      transport.sendMail({
        from: { name: "iservft-edge", address: channel.from },
        to: channel.to.map((address) => ({ name: "", address })),
        subject: headline(message),
        text: letter(message),
        messageId: `<${message.id}@iservft-edge.invalid>`,
        headers: { "Auto-Submitted": "auto-generated", "X-Iservft-Key": encodeURI(message.key) },
      }),
      signal,
    );
    if (sent.rejected.length > 0) {
      throw new Error(`the server refused ${sent.rejected.length} of the addresses`);
    }
    return `the server took it: ${String(sent.response).slice(0, 200)}`;
  } finally {
    signal.removeEventListener("abort", stop);
    transport.close();
  }
}
