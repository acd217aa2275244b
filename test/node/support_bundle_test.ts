import assert from "node:assert/strict";
import { collect, gunzip, readTar } from "../../lib/node/archive/tar.ts";
import { type DoctorProbes, realProbes } from "../../lib/node/doctor/probes.ts";
import { openIdentity } from "../../lib/node/identity.ts";
import { Redactor } from "../../lib/node/redact.ts";
import { supportBundle } from "../../lib/node/support_bundle.ts";
import { FakeBackend } from "../ui/fake_backend.ts";

const PAIR_KEY = "3f".repeat(32);
const TOKEN = `isft_${"Ab1-".repeat(10)}xyz`;
const SETUP = "q7".repeat(21) + "Z";
const KEPT_HASH = `scrypt$15$8$3$${"s".repeat(22)}$${"h".repeat(43)}`;

/** A node into every corner of which secrets were put. */
class Planted implements Disposable {
  readonly data = Deno.makeTempDirSync({ prefix: "iservft-bundle-" });
  readonly backend = new FakeBackend();
  /** Each must not be in the bundle. */
  readonly secrets: string[] = [PAIR_KEY, TOKEN, SETUP, KEPT_HASH];
  readonly probes: DoctorProbes;

  constructor() {
    const { key } = openIdentity(`${this.data}/identity`);
    this.secrets.push(...key.split("\n").filter((line) => line.length > 20 && !line.startsWith("-----")));
    Deno.writeTextFileSync(`${this.data}/pair.key`, `${PAIR_KEY}\n`);
    Deno.mkdirSync(`${this.data}/observe`);
    const mail = { kind: "email", password: this.plant("mail pass word"), user: "plant" };
    const hook = {
      kind: "webhook",
      url: `https://example.net/${this.plant("hook-path")}`,
      secret: this.plant("sign"),
    };
    const trap = { kind: "snmp", community: this.plant("community") };
    Deno.writeTextFileSync(
      `${this.data}/observe/alerts.json`,
      JSON.stringify({ channels: [mail, hook, trap] }),
    );
    const lines = this.#lines({ key, known: [mail.password, hook.url, hook.secret, trap.community] });
    this.#plantBackend(lines);
    this.probes = {
      ...realProbes,
      run: (argv) => Promise.resolve({ code: 0, said: `${argv.join(" ")}\n${lines.join("\n")}\n` }),
      read: (path) =>
        path.startsWith("/") && !path.startsWith(this.data) ? lines.join("\n") : realProbes.read(path),
    };
  }

  plant(name: string): string {
    const secret = `${name}-planted-${this.secrets.length}`;
    this.secrets.push(secret);
    return secret;
  }

  /** What programs print when they are careless. */
  #lines({ key, known }: { key: string; known: string[] }): string[] {
    return [
      `key file holds ${PAIR_KEY}`,
      ...key.split("\n"),
      `${key.slice(0, 120)} (cut off)`,
      ...known.map((secret) => `sent with ${secret} to the server`),
      `password = "${this.plant("toml")}"`,
      `password=${this.plant("ini")} and more`,
      `{"smtp_password":"${this.plant("json")}"}`,
      `{"msg":"{\\"secret\\": \\"${this.plant("nested")}\\"}"}`,
      `passphrase: '${this.plant("yaml with spaces")}'`,
      `cmdline = "console=ttyS0 root_password=${this.plant("guest")}"`,
      `cmdline = """\nluks=${this.plant("many lines")}\n"""`,
      `GET /x?token=${this.plant("url")}&a=1`,
      `Authorization: Bearer ${this.plant("bearer")}`,
      `Cookie: a=b; __Host-session=${this.plant("cookie")}`,
      `https://admin:${this.plant("userinfo")}@example.net/`,
      `otpauth://totp/x?secret=${this.plant("totp")}`,
      `first administrator: https://127.0.0.1:8443/setup/${SETUP}`,
      `curl -H 'X: ${TOKEN}'`,
      `users: ann ${KEPT_HASH}`,
      `-----BEGIN PRIVATE KEY-----\n${this.plant("pem")}`,
    ];
  }

  #plantBackend(lines: string[]): void {
    const { backend } = this;
    const text = lines.join("\n");
    const code = this.plant("one-time-code");
    backend.state.pair.pairing = { step: "inviting", code, expires: "2026-01-01T00:00:00Z", addresses: [] };
    backend.state.vms[0]!.detail = text;
    backend.eventList[0]!.text = text;
    backend.eventList[0]!.params = { why: text, password: this.plant("param") };
    backend.doctorView.checks[0]!.seen = text;
    backend.alertSettings.channels = [{
      kind: "syslog",
      name: "log",
      enabled: true,
      host: this.plant("host"),
      port: 514,
      protocol: "udp",
    }];
    backend.vm.file = () => Promise.resolve(text);
    backend.vm.logs = () => Promise.resolve(lines);
    backend.config = () => Promise.resolve({ file: "serve.toml", text });
    const why = `not now: password=${this.plant("error")}`;
    backend.metrics = () => Promise.reject(new Error(why));
  }

  async bundle(redactor?: Pick<Redactor, "text" | "json">): Promise<Map<string, string>> {
    const { backend, data, probes } = this;
    const stream = supportBundle({
      backend,
      version: "0.1.0",
      data,
      probes,
      ...(redactor ? { redactor } : {}),
    });
    const files = readTar(await gunzip(await collect(stream)));
    return new Map(files.map(({ path, bytes }) => [path, new TextDecoder().decode(bytes)]));
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.data, { recursive: true });
  }
}

Deno.test("no secret that was put anywhere is in a support bundle", async () => {
  using planted = new Planted();
  const files = await planted.bundle();
  for (const [path, text] of files) {
    for (const secret of planted.secrets) assert.ok(!text.includes(secret), `${path} holds ${secret}`);
    assert.ok(!text.includes("-planted-"), `${path}: ${/.{0,60}-planted-.{0,20}/.exec(text)?.[0]}`);
  }
  // The control: they were all there to be found.
  const careless = await planted.bundle({ text: (text) => text, json: (value) => JSON.stringify(value) });
  const all = [...careless.values()].join("\n");
  const hidden = ["host-planted", "one-time-code"]; // left out before anything is redacted
  for (const secret of planted.secrets) {
    const there = all.includes(secret) || all.includes(JSON.stringify(secret).slice(1, -1));
    assert.equal(there, !hidden.some((name) => secret.startsWith(name)), secret);
  }
});

Deno.test("a support bundle has what helps, in files that can be read, and says what is missing", async () => {
  using planted = new Planted();
  const files = await planted.bundle();
  const vm = planted.backend.state.vms[0]!.name;
  for (
    const path of [
      "README.txt",
      "snapshot.json",
      "doctor.json",
      "config.toml",
      `vms/${vm}/log.txt`,
      "system/journal.txt",
      "system/proc.meminfo.txt",
    ]
  ) {
    assert.ok(files.has(path), `${path} is not among ${[...files.keys()].join(", ")}`);
  }
  const snapshot = JSON.parse(files.get("snapshot.json")!);
  assert.deepEqual([snapshot.vms[0].name, snapshot.pair.pairing.code], [vm, "[removed]"]);
  const events = files.get("events.jsonl")!.trim().split("\n").map((line) => JSON.parse(line));
  assert.equal(events.length, planted.backend.eventList.length);
  assert.equal(events[0].code, planted.backend.eventList[0]!.code);
  const about = JSON.parse(files.get("bundle.json")!);
  assert.equal(about.program, "0.1.0");
  assert.match(about.missing["metrics.txt"], /^not now: password=/);
  assert.ok(!files.has("metrics.txt"));
});

Deno.test("what is no secret is left as it is", () => {
  const redactor = new Redactor(["correct horse", "abc"]);
  for (
    const text of [
      "the abc of it: 3 passwords were wrong",
      "epoch 12345 committed in 1.2 ms, term 7, 10.0.0.1:7811",
      "ID 3KQ7-MM2A-9XWP-LL5C, uuid 123e4567-e89b-12d3-a456-426614174000",
      'path = "press-1/disk0.img"\nmemory = 1024',
    ]
  ) assert.equal(redactor.text(text), text);
  assert.equal(redactor.text("it said correct horse twice"), "it said [removed] twice");
  assert.equal(
    redactor.json({ totp: true, password: "", name: "ann" }),
    JSON.stringify({ totp: true, password: "", name: "ann" }, null, 1),
  );
});

Deno.test("text that is made to be slow to look through is not", () => {
  const redactor = new Redactor([]);
  for (const piece of ["password", "a.", "a-", '"', '\\"', "://", "x=", "-----BEGIN PRIVATE KEY-----"]) {
    const text = piece.repeat(Math.ceil(200_000 / piece.length));
    assert.ok(redactor.text(text).length <= text.length + 100);
  }
});
