/** One message by one channel, whichever it is. */

import type { AlertChannel } from "../../model/alerts.ts";
import type { AlertMessage } from "./message.ts";
import { sendEmail } from "./send_email.ts";
import { sendSnmp } from "./send_snmp.ts";
import { sendSyslog } from "./send_syslog.ts";
import { sendWebhook } from "./send_webhook.ts";

/** Sends it; returns how that went, and throws why it could not. */
export async function send(
  message: AlertMessage,
  channel: AlertChannel,
  signal: AbortSignal,
): Promise<string> {
  switch (channel.kind) {
    case "email":
      return await sendEmail(message, channel, signal);
    case "webhook":
      return await sendWebhook(message, channel, signal);
    case "syslog":
      return await sendSyslog(message, channel, signal);
    case "snmp":
      return await sendSnmp(message, channel, signal);
    default:
      return channel satisfies never;
  }
}
