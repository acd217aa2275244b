/** Who is told, and how, when something happens. Secrets are written, never read back: they show as "set" or "". */

import { z } from "zod";

const text = z.string().max(500);
export const alertChannel = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("email"),
    name: text,
    enabled: z.boolean().default(true),
    host: text,
    port: z.number().int().min(1).max(65535).default(25),
    /** "starttls": refused when the server does not offer it. */
    security: z.enum(["none", "starttls", "tls"]).default("starttls"),
    user: text.default(""),
    password: text.default(""),
    from: text,
    to: z.array(text).min(1).max(20),
    /** Certificate (PEM) that the server's is signed by, where it is not one that everyone knows. */
    ca: z.string().max(20_000).optional(),
  }),
  z.strictObject({
    kind: z.literal("webhook"),
    name: text,
    enabled: z.boolean().default(true),
    url: z.url(),
    /** Signs the body: HMAC-SHA-256, header X-Iservft-Signature. */
    secret: text.default(""),
    /** As of e-mail. */
    ca: z.string().max(20_000).optional(),
  }),
  z.strictObject({
    kind: z.literal("syslog"),
    name: text,
    enabled: z.boolean().default(true),
    host: text,
    port: z.number().int().min(1).max(65535).default(514),
    protocol: z.enum(["udp", "tcp"]).default("udp"),
  }),
  z.strictObject({
    kind: z.literal("snmp"),
    name: text,
    enabled: z.boolean().default(true),
    host: text,
    port: z.number().int().min(1).max(65535).default(162),
    community: text.default("public"),
  }),
]);
export type AlertChannel = z.infer<typeof alertChannel>;

export const alertSettings = z.strictObject({
  channels: z.array(alertChannel).max(20).default([]),
  /** What is told of: this severity and worse. */
  threshold: z.enum(["warning", "critical"]).default("warning"),
  /** The same condition is not told again within this time, s. */
  repeat_s: z.number().int().min(60).max(7 * 86400).default(3600),
});
export type AlertSettings = z.infer<typeof alertSettings>;

/** A condition that lasts. */
export const alertView = z.object({
  /** What it is about, e.g. "vm/press-1/unprotected". */
  key: z.string(),
  severity: z.enum(["warning", "critical"]),
  code: z.string(),
  params: z.record(z.string(), z.union([z.string(), z.number()])),
  text: z.string(),
  since: z.string(),
});
export type AlertView = z.infer<typeof alertView>;
