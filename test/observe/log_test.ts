import assert from "node:assert/strict";
import { JournalSocket } from "../../lib/observe/journal.ts";
import { logForm, Logger, logLine } from "../../lib/observe/log.ts";

const AT = "2026-03-01T12:00:00.000Z";
const line = (form: "journal" | "text" | "json", message: string, fields = {}) =>
  logLine(form, { level: "warning", message, fields, at: AT });

Deno.test("journald gets a priority and no time, a person both in words, a program JSON", () => {
  const fields = { vm: "press-1", why: "no leave", pause_ms: 3 };
  assert.equal(line("journal", "it waits", fields), '<4>it waits vm=press-1 why="no leave" pause_ms=3');
  assert.equal(
    line("text", "it waits", fields),
    `${AT} warning: it waits vm=press-1 why="no leave" pause_ms=3`,
  );
  assert.deepEqual(JSON.parse(line("json", "it waits", fields)), {
    ...{ at: AT, level: "warning", message: "it waits" },
    ...fields,
  });
  assert.deepEqual(JSON.parse(line("json", "x", { message: "other", level: 1 })).message_, "other");
});

Deno.test("standard error is journald's only when it is that very stream", () => {
  const seen = (stream: string | undefined, is: string | null) =>
    logForm(undefined, { env: () => stream, stderr: () => is });
  assert.equal(seen("8:12345", "8:12345"), "journal");
  assert.equal(seen("8:12345", "8:99"), "text");
  assert.equal(seen("8:12345", null), "text");
  assert.equal(seen(undefined, "8:12345"), "text");
  assert.equal(seen("", null), "text");
  assert.equal(logForm("json", { env: () => "8:1", stderr: () => "8:1" }), "json");
});

Deno.test("one thing said is one line, and no other priority, whatever is in it", () => {
  for (const form of ["journal", "text", "json"] as const) {
    const said = line(form, "a\n<0>all is lost\r\n\u2028b", { "x\ny": "1\n<0>2", vm: "\u001b[31mred" });
    assert.doesNotMatch(said, /[\p{Cc}\u2028]/u);
  }
  assert.ok(line("text", "x".repeat(1e6), { y: "z".repeat(1e6) }).length < 3000);
});

Deno.test("secrets are not said: not by their names, nor where they are in a text or deep in a value", () => {
  const pem = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMG\n-----END PRIVATE KEY-----";
  for (const form of ["journal", "text", "json"] as const) {
    const said = line(form, `key ${pem} https://ann:S3CRET@host/ Authorization: Bearer S3CRET-token`, {
      password: "S3CRET",
      new_password: "S3CRET",
      cookie: "S3CRET",
      set_token: "S3CRET",
      pair_key: "S3CRET",
      body: { deep: [{ secret: "S3CRET", name: "ann" }] },
      error: new Error("smtp://u:S3CRET@host"),
    });
    assert.doesNotMatch(said, /S3CRET|MIGHAgEAMBMG/);
    assert.match(said, /ann/);
  }
});

Deno.test("lines come whole and in order; less than the least is not said; what cannot be shown costs its line alone", async () => {
  let text = "";
  {
    await using logger = new Logger({
      form: "text",
      nowMs: () => Date.parse(AT),
      write: (bytes) => {
        text += new TextDecoder().decode(bytes);
        return Promise.resolve();
      },
    });
    logger.log("debug", "not said");
    logger.log("info", "one");
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    logger.log("info", "circle", { circle });
    logger.log("error", "two", { n: 2 });
  }
  assert.equal(
    text,
    `${AT} info: one\n${AT} error: two n=2\n${AT} warning: lines of this log were lost lines=1\n`,
  );
});

Deno.test("a reader that does not read holds up nobody: what finds no room is counted and said", async () => {
  const gate = Promise.withResolvers<void>();
  let text = "";
  const logger = new Logger({
    form: "text",
    write: async (bytes) => {
      await gate.promise;
      text += new TextDecoder().decode(bytes);
    },
  });
  logger.log("info", "first");
  await Promise.resolve();
  await Promise.resolve();
  for (let i = 0; i < 5_000; i++) logger.log("info", `line ${i}`);
  gate.resolve();
  await logger[Symbol.asyncDispose]();
  const lines = text.split("\n");
  assert.ok(lines.length < 1_100, `${lines.length}`);
  assert.match(text, /lines of this log were lost lines=4\d{3}/);
});

Deno.test("journald gets what happened as fields that can be asked for; what it does not take is a line, and none is lost or doubled", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "iservft-journal-" });
  type Receiver = { receive(): Promise<[Uint8Array, unknown]>; close(): void };
  const listen = (Deno as unknown as { listenDatagram: (options: unknown) => Receiver }).listenDatagram;
  const path = `${directory}/socket`;
  const journald = listen({ transport: "unixpacket", path });
  let written = "";
  try {
    using socket = new JournalSocket(path);
    await using logger = new Logger({
      form: "journal",
      journal: (entry) => socket.send(entry),
      write: (bytes) => Promise.resolve(written += new TextDecoder().decode(bytes)),
    });
    logger.log("critical", "It is\nlost.\nPRIORITY=7", {
      event: "vm.failed",
      name: "press-1",
      actor: "",
      password: "S3CRET",
    });
    const entry = new TextDecoder().decode((await journald.receive())[0]);
    assert.deepEqual(entry.split("\n"), [
      'MESSAGE=It is lost. PRIORITY=7 event=vm.failed name=press-1 actor="" password=…',
      ...["PRIORITY=2", "SYSLOG_IDENTIFIER=iservft-edge"],
      ...["ISERVFT_EVENT=vm.failed", "ISERVFT_NAME=press-1", "ISERVFT_PASSWORD=…", ""],
    ]);
    assert.equal(written, "");
    journald.close();
    logger.log("warning", "nobody takes entries", { event: "vm.alarm" });
    logger.log("info", "and goes on");
    await logger[Symbol.asyncDispose]();
    assert.equal(written, "<4>nobody takes entries event=vm.alarm\n<6>and goes on\n");
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
