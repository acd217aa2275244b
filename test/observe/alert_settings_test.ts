import assert from "node:assert/strict";
import type { AlertChannel, AlertSettings } from "../../lib/model/alerts.ts";
import { ProblemError } from "../../lib/model/problem.ts";
import { headline, letter, oneLine } from "../../lib/observe/alerts/message.ts";
import { accepted, redacted, withoutSecrets } from "../../lib/observe/alerts/settings.ts";
import { syslogMessage } from "../../lib/observe/alerts/send_syslog.ts";
import { email, message, settings, snmp, syslog, webhook } from "./alert_kit.ts";

const NONE = settings([]);
const fields = (channels: unknown[], old: AlertSettings = NONE): string[] => {
  try {
    accepted({ channels, threshold: "warning", repeat_s: 3600 }, old);
    return [];
  } catch (error) {
    assert.ok(error instanceof ProblemError && error.code === "invalid");
    return error.fields.map(({ key }) => key);
  }
};

Deno.test("secrets are shown as set, and written back they stay", () => {
  const all = settings([
    email({ user: "u", password: "hunter22" }),
    webhook("https://example.test/x", { secret: "s3cret" }),
    snmp(162, { community: "c0mmun" }),
    snmp(162, { name: "open", community: "public" }),
    syslog(514),
  ]);
  const shown = redacted(all);
  assert.doesNotMatch(JSON.stringify(shown), /hunter22|s3cret|c0mmun/);
  assert.equal((shown.channels[3] as { community: string }).community, "public");
  assert.deepEqual(accepted(shown, all), all);
  const typed = structuredClone(shown);
  (typed.channels[0] as { password: string }).password = "new";
  assert.equal((accepted(typed, all).channels[0] as { password: string }).password, "new");
});

Deno.test("a kept secret is not sent elsewhere than where it was typed for", () => {
  const old = settings([
    email({ user: "u", password: "hunter22" }),
    webhook("https://a.test/", { secret: "x" }),
  ]);
  const shown = redacted(old);
  const [mail, hook] = shown.channels as [
    AlertChannel & { kind: "email" },
    AlertChannel & { kind: "webhook" },
  ];
  assert.deepEqual(fields([{ ...mail, host: "evil.test" }], old), ["channels[0].password"]);
  assert.deepEqual(fields([{ ...mail, security: "tls" }], old), ["channels[0].password"]);
  assert.deepEqual(fields([mail, { ...hook, url: "https://evil.test/" }], old), ["channels[1].secret"]);
  assert.deepEqual(fields([{ ...mail, to: ["other@plant.test"] }], old), []);
  assert.deepEqual(fields([{ ...mail, name: "called otherwise" }], old), []);
  assert.deepEqual(fields([mail]), ["channels[0].password"], "there is none to keep");
});

Deno.test("what could begin another header, line or host is refused in settings", () => {
  assert.deepEqual(fields([email({ to: ["a@plant.test\r\nBcc: all@evil.test"] })]), ["channels[0].to[0]"]);
  assert.deepEqual(fields([email({ to: ["a@plant.test, b@evil.test"] })]), ["channels[0].to[0]"]);
  assert.deepEqual(fields([email({ from: "A <a@plant.test>" })]), ["channels[0].from"]);
  assert.deepEqual(fields([email({ name: "a\nb" })]), ["channels[0].name"]);
  assert.deepEqual(fields([email({ host: "a b" })]), ["channels[0].host"]);
  assert.deepEqual(fields([email({ security: "none", user: "u", password: "p" })]), ["channels[0].security"]);
  assert.deepEqual(fields([webhook("file:///etc/passwd")]), ["channels[0].url"]);
  assert.deepEqual(fields([webhook("https://u:p@example.test/")]), ["channels[0].url"]);
  assert.deepEqual(fields([syslog(514), syslog(515)]), ["channels[1].name"]);
  assert.deepEqual(fields([{ kind: "pigeon" }]).length, 1);
  assert.deepEqual(fields([email({}), webhook("https://example.test/x"), snmp(162), syslog(514)]), []);
});

Deno.test("a name with line ends and turned text stays text in one line, in each form", () => {
  const bad = message({
    node: 'a"]\r\nX: y',
    key: 'vm/x\r\nBcc: all@evil.test"]\\',
    text: "VM x\r\n.\r\nRCPT TO:<all@evil.test>\u202e\u2028 z",
    code: "x y\n",
  });
  assert.doesNotMatch(headline(bad), /[\r\n\u2028\u202e]/);
  assert.equal(letter(bad).split("\n").length, letter(message({})).split("\n").length);
  const line = new TextDecoder("utf-8", { ignoreBOM: true }).decode(syslogMessage(bad));
  assert.doesNotMatch(line, /[\r\n]/);
  assert.match(
    line,
    /^<26>1 \S+ a"\]__X:_y iservft-edge \d+ x_y_ \[iservft@32473 kind="raised" key="vm\/x Bcc: all@evil.test\\"\\\]\\\\" /,
  );
  assert.ok(syslogMessage(message({ text: "界".repeat(5000) })).length < 2048);
  assert.equal(oneLine("x".repeat(900)).length, 500);
});

Deno.test("why it failed is said without the secret", () => {
  const hook = webhook("https://hooks.test/services/T0K3N", { secret: "s3cret" }) as AlertChannel;
  const why = withoutSecrets(
    "error sending request for url (https://hooks.test/services/T0K3N): s3cret",
    hook,
  );
  assert.doesNotMatch(why, /T0K3N|s3cret/);
  assert.match(why, /hooks\.test/);
});
