/** A channel's form: its fields by kind, and what they mean. */

import { type AlertChannel, alertSettings } from "../../lib/model/alerts.ts";
import { issueText } from "../forms.tsx";
import type { Translator } from "../i18n/translator.ts";

export const KINDS = ["email", "webhook", "syslog", "snmp"] as const;
export type Kind = typeof KINDS[number];
/** What is shown of a secret, and what is sent to leave it as it is. */
export const SET = "set";
/** Fields that are written and never read back. */
export const SECRETS = ["password", "secret", "community"] as const;

/** What a channel of a kind begins with. */
export function channelDefaults(kind: Kind): Record<string, string> {
  const common = { kind, name: "", enabled: "1", host: "" };
  switch (kind) {
    case "email":
      return { ...common, port: "587", security: "starttls", user: "", from: "", to: "" };
    case "webhook":
      return { kind, name: "", enabled: "1", url: "" };
    case "syslog":
      return { ...common, port: "514", protocol: "udp" };
    case "snmp":
      return { ...common, port: "162" };
  }
}

/** A channel as the form's fields; secrets stay away. */
export function channelValues(channel: AlertChannel): Record<string, string> {
  const values: Record<string, string> = {};
  for (const [key, value] of Object.entries(channel)) {
    if (SECRETS.some((name) => name === key)) continue;
    values[key] = Array.isArray(value)
      ? value.join("\n")
      : value === true
      ? "1"
      : value === false
      ? ""
      : String(value);
  }
  return values;
}

/** The form's fields as a channel. An empty secret keeps the one that `before` has. */
export function channelOf(
  values: Readonly<Record<string, string>>,
  before: AlertChannel | null,
): Record<string, unknown> {
  const channel: Record<string, unknown> = { enabled: values.enabled === "1" };
  for (const [key, value] of Object.entries(values)) {
    if (key === "enabled" || key === "was") continue;
    if (key === "port") channel.port = /^\d{1,5}$/.test(value) ? Number(value) : undefined;
    else if (key === "to") channel.to = value.split(/[\s,;]+/).filter((address) => address !== "");
    else if (!SECRETS.some((name) => name === key) || value !== "") channel[key] = value;
    else if (before !== null && before.kind === values.kind && key in before) {
      channel[key] = before[key as keyof AlertChannel];
    }
  }
  return channel;
}

/** What is wrong with a channel, by field. `others`: names that are taken. */
export function channelErrors(
  channel: Record<string, unknown>,
  options: { t: Translator; others: readonly string[] },
): Record<string, string> {
  const { t, others } = options;
  const errors: Record<string, string> = {};
  const checked = alertSettings.safeParse({ channels: [channel] });
  for (const issue of checked.error?.issues ?? []) {
    errors[String(issue.path[2] ?? "name")] ??= issueText(t, issue);
  }
  for (const name of ["name", "host", "from", "url"]) {
    if (channel[name] === "") errors[name] = t("form.required");
  }
  if (others.includes(String(channel.name))) errors.name = t("alerts.name.taken");
  return errors;
}
