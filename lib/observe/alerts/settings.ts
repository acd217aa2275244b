/** Settings of alerts: checked beyond their form, kept with mode 0600, and shown without secrets. */

import { z } from "zod";
import { type AlertChannel, type AlertSettings, alertSettings } from "../../model/alerts.ts";
import { ProblemError } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";

/** What stands where a secret is, when settings are read; written back it means: as it is. */
export const SET = "set";
const OPEN_COMMUNITY = "public";

/** The secret of a channel, and where it is sent. */
function secretOf(channel: AlertChannel): { key: string; value: string; goes_to: string } | null {
  switch (channel.kind) {
    case "email":
      return {
        key: "password",
        value: channel.password,
        goes_to: `${channel.host}:${channel.port}:${channel.security}:${channel.ca ?? ""}`,
      };
    case "webhook":
      // A signature tells nobody the secret, but whoever gets one could be shown others' bodies.
      return { key: "secret", value: channel.secret, goes_to: channel.url };
    case "snmp":
      return { key: "community", value: channel.community, goes_to: `${channel.host}:${channel.port}` };
    case "syslog":
      return null;
    default:
      return channel satisfies never;
  }
}

function withSecret(channel: AlertChannel, value: string): AlertChannel {
  const secret = secretOf(channel);
  return secret === null ? channel : { ...channel, [secret.key]: value } as AlertChannel;
}

/** The settings as they may be shown. */
export function redacted(settings: AlertSettings): AlertSettings {
  return {
    ...settings,
    channels: settings.channels.map((channel) => {
      const secret = secretOf(channel);
      if (secret === null || secret.value === "" || secret.value === OPEN_COMMUNITY) return channel;
      return withSecret(channel, SET);
    }),
  };
}

type Field = { key: string; problem: string };

function merged(channel: AlertChannel, old: readonly AlertChannel[], key: string): AlertChannel | Field {
  const secret = secretOf(channel);
  if (secret === null || secret.value !== SET) return channel;
  // A channel may be called otherwise now: then it is the one that goes to the same place.
  const before = old.find(({ name, kind }) => name === channel.name && kind === channel.kind) ??
    old.find((one) => one.kind === channel.kind && secretOf(one)?.goes_to === secret.goes_to);
  const known = before === undefined ? null : secretOf(before);
  if (known === null || known.value === "") {
    return {
      key: `${key}.${secret.key}`,
      problem: `"${SET}" stands for one that is kept, and there is none`,
    };
  }
  // Else who may change settings could have it sent to a machine of theirs.
  if (known.goes_to !== secret.goes_to) {
    return {
      key: `${key}.${secret.key}`,
      problem: "it must be typed again when it goes elsewhere than before",
    };
  }
  return withSecret(channel, known.value);
}

const ADDRESS = /^[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})$/;
const HOST = /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})$|^[0-9A-Fa-f:.]{2,45}$/;

function problemsOf(channel: AlertChannel, key: string): Field[] {
  const found: Field[] = [];
  const need = (good: boolean, what: string, problem: string) => {
    if (!good) found.push({ key: `${key}.${what}`, problem });
  };
  need(/^[^\p{Cc}]{1,60}$/u.test(channel.name), "name", "it must be 1 to 60 characters in one line");
  if (channel.kind === "webhook") {
    const url = URL.parse(channel.url);
    need(
      url?.protocol === "https:" || url?.protocol === "http:",
      "url",
      "it must begin with https:// or http://",
    );
    need(url?.username === "" && url.password === "", "url", "it must not have a user or password in it");
    return found;
  }
  need(
    HOST.test(channel.host),
    "host",
    `${JSON.stringify(channel.host)} is neither a host's name nor an address`,
  );
  if (channel.kind === "email") {
    for (const [what, address] of [["from", channel.from], ...channel.to.map((to, i) => [`to[${i}]`, to])]) {
      need(ADDRESS.test(address!), what!, `${JSON.stringify(address)} is not an e-mail address`);
    }
    need(
      channel.security !== "none" || channel.user === "" && channel.password === "",
      "security",
      "a password is never sent without TLS: use starttls or tls, or no user",
    );
  }
  if (channel.kind === "snmp") need(channel.community !== "", "community", "it must not be empty");
  return found;
}

function refused(fields: Field[]): ProblemError {
  const problems = fields.map(({ key, problem }) => `${key}: ${problem}`).join("; ");
  return new ProblemError("invalid", { ...explained("alert.settings_wrong", { problems }), fields });
}

/** What was written, checked, with the secrets that stay. Throws ProblemError "invalid". */
export function accepted(written: unknown, old: AlertSettings): AlertSettings {
  const parsed = alertSettings.safeParse(written);
  if (!parsed.success) {
    throw refused(
      parsed.error.issues.map(({ path, message }) => ({ key: z.core.toDotPath(path), problem: message })),
    );
  }
  const fields: Field[] = [];
  const names = new Set<string>();
  const channels = parsed.data.channels.map((channel, i) => {
    const key = `channels[${i}]`;
    fields.push(...problemsOf(channel, key));
    if (names.has(channel.name)) fields.push({ key: `${key}.name`, problem: "two channels have this name" });
    names.add(channel.name);
    const whole = merged(channel, old.channels, key);
    if ("problem" in whole) {
      fields.push(whole);
      return channel;
    }
    return whole;
  });
  if (fields.length > 0) throw refused(fields);
  return { ...parsed.data, channels };
}

/** Why something failed, without what others should not read: a webhook's URL may be as good as a key. */
export function withoutSecrets(text: string, channel: AlertChannel): string {
  const secret = secretOf(channel);
  let clean = text;
  if (channel.kind === "webhook") {
    clean = clean.replaceAll(channel.url, `${URL.parse(channel.url)?.origin ?? ""}/…`);
    clean = clean.replaceAll(URL.parse(channel.url)?.href ?? channel.url, "…");
  }
  if (secret !== null && secret.value.length > 2 && secret.value !== OPEN_COMMUNITY) {
    clean = clean.replaceAll(secret.value, "…");
  }
  return clean;
}
