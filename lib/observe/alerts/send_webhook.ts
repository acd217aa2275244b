/** Alerts as JSON by HTTP POST. */

import { createHmac } from "node:crypto";
import type { AlertChannel } from "../../model/alerts.ts";
import type { AlertMessage } from "./message.ts";

/** What a receiver checks: HMAC-SHA-256 of the body as it came, with the shared secret. */
export function signature(body: string, secret: string): string {
  return `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
}

/** fetch says why in its error's cause. */
function reason(error: unknown): never {
  throw error instanceof TypeError && error.cause instanceof Error ? new Error(error.cause.message) : error;
}

/** Posts it; returns what the receiver answered. A redirect is an error: the body is for nobody else. */
export async function sendWebhook(
  message: AlertMessage,
  channel: AlertChannel & { kind: "webhook" },
  signal: AbortSignal,
): Promise<string> {
  const body = JSON.stringify(message);
  const client = channel.ca === undefined || channel.ca === ""
    ? undefined
    : Deno.createHttpClient({ caCerts: [channel.ca] });
  try {
    const response = await fetch(channel.url, {
      method: "POST",
      body,
      redirect: "manual",
      signal,
      headers: {
        "content-type": "application/json; charset=utf-8",
        "user-agent": "iservft-edge",
        "x-iservft-id": message.id,
        ...(channel.secret === "" ? {} : { "x-iservft-signature": signature(body, channel.secret) }),
      },
      ...(client === undefined ? {} : { client }),
    }).catch(reason);
    await response.body?.cancel();
    if (response.status >= 300 && response.status < 400) {
      throw new Error(`the receiver sends it elsewhere (status ${response.status}), which is not followed`);
    }
    if (!response.ok) throw new Error(`the receiver answered with status ${response.status}`);
    return `the receiver answered with status ${response.status}`;
  } finally {
    client?.close();
  }
}
