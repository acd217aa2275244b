import { equal, match, ok } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { progressText } from "../../lib/cli/terminal.ts";
import { bytesText, closest, durationText, plain, table } from "../../lib/cli/text.ts";
import { readMib, readSince } from "../../lib/cli/values.ts";
import { cliRig } from "./kit.ts";

const MAIN = fileURLToPath(new URL("../../main.ts", import.meta.url));

/** The program at a terminal of its own (script makes one), driven by what it shows. */
async function atTerminal(
  words: readonly string[],
  said: { socket: string; type: (shown: string) => string | null },
): Promise<{ shown: string; code: number }> {
  const line = [Deno.execPath(), "run", "-A", "--no-check", MAIN, ...words].map((word) => `'${word}'`).join(
    " ",
  );
  const child = new Deno.Command("script", {
    args: ["-qefc", line, "/dev/null"],
    env: { ISERVFT_SOCKET: said.socket, NO_COLOR: "1", SHELL: "/bin/sh", TERM: "xterm" },
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const writer = child.stdin.getWriter();
  let shown = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    shown += text;
    const typed = said.type(shown);
    if (typed !== null) await writer.write(new TextEncoder().encode(typed));
  }
  const { code } = await child.status;
  await writer.close().catch(() => {});
  return { shown, code };
}

/** Types each answer once its question is shown. */
function answering(script: readonly (readonly [string, string])[]): (shown: string) => string | null {
  let at = 0;
  let from = 0;
  return (shown) => {
    const [question, answer] = script[at] ?? [];
    if (question === undefined || answer === undefined) return null;
    const found = shown.indexOf(question, from);
    if (found < 0) return null;
    from = found + question.length;
    at++;
    return answer;
  };
}

Deno.test("at a terminal the console echoes byte by byte, and Ctrl-] gives the terminal back", async () => {
  await using rig = await cliRig();
  const ended = await atTerminal(["vm", "console", "press-1"], {
    socket: rig.socket,
    type: answering([["Ctrl-] ends it.", "login\x03"], ["login\x03", "\x1d"]]),
  });
  equal(ended.code, 0, ended.shown);
  // Ctrl-C went to the VM: it ended nothing here.
  ok(ended.shown.includes("login\x03"), ended.shown);
  match(ended.shown, /Detached; the VM goes on\./);
});

Deno.test("at a terminal a password is asked for twice and is not shown", async () => {
  await using rig = await cliRig();
  const secret = "Long-enough-secret";
  const ended = await atTerminal(["user", "add", "bob"], {
    socket: rig.socket,
    type: answering([["New password: ", `${secret}x\x7f\r`], ["Once more: ", `${secret}\r`]]),
  });
  equal(ended.code, 0, ended.shown);
  equal(ended.shown.includes(secret), false, ended.shown);
  await rig.api.access.sessions.begin({ name: "bob", password: secret, code: "" }, {
    address: "a",
    agent: "",
  });
});

Deno.test("at a terminal a question takes yes, and anything else is no", async () => {
  await using rig = await cliRig();
  for (const [answer, code] of [["maybe", 1], ["yes", 0]] as const) {
    const ended = await atTerminal(["pair", "remove"], {
      socket: rig.socket,
      type: answering([["(yes/no) ", `${answer}\r`]]),
    });
    equal(ended.code, code, ended.shown);
  }
  equal(rig.api.backend.calls.filter(({ method }) => method === "pair.remove").length, 1);
});

Deno.test("words near a command's are meant, others are not", () => {
  equal(closest("strat", ["start", "stop"]), "start");
  equal(closest("stats", ["status", "start"]), "status");
  equal(closest("xyz", ["start", "stop"]), null);
  equal(closest("", ["vm"]), null);
});

Deno.test("figures are written with their units, and what steers a terminal is taken out", () => {
  equal(bytesText(0), "0 B");
  equal(bytesText(1536), "1.5 KiB");
  equal(bytesText(5 * 1024 ** 4), "5.0 TiB");
  equal(durationText(59.6), "1 min 0 s");
  equal(durationText(90061), "1 d 1 h");
  equal(plain("a\x1b[31mb\nc\td"), "a\ufffd[31mb\nc\td");
  equal(plain("a\u202eb\u2066"), "a\ufffdb\ufffd", "what turns text around does not either");
  equal(table([["a", "bb", "c"], ["aaa", "b", ""]]).join("\n"), "a    bb  c\naaa  b");
  const progress = { done: 1, total: 3, unit: "bytes" as const, rate_per_s: null, eta_s: null };
  equal(progressText(progress).trim(), "33 %  1 B of 3 B");
  equal(progressText({ ...progress, total: 0 }), "begins");
});

Deno.test("sizes and times are read as people write them, and what is neither is refused", () => {
  equal(readMib("2G"), 2048);
  equal(readMib("512"), 512);
  equal(readMib("1TiB"), 1024 * 1024);
  for (const text of ["", "0", "-1", "2X", "1.5G", "9".repeat(12)]) ok(throws(() => readMib(text)), text);
  equal(readSince("2h", Date.UTC(2026, 0, 1, 12)), "2026-01-01T10:00:00.000Z");
  equal(readSince("2026-01-01T00:00Z", 0), "2026-01-01T00:00:00.000Z");
  ok(throws(() => readSince("yesterday", 0)));
});

function throws(act: () => unknown): boolean {
  try {
    act();
    return false;
  } catch {
    return true;
  }
}
