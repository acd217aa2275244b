import { deepEqual, equal, match } from "node:assert/strict";
import { run } from "../../lib/cli/ctl.ts";
import { runCommand } from "../../lib/cli/command.ts";
import { EdgeError, RefusedError } from "../../lib/errors.ts";
import { ControlServer } from "../../lib/group/control_socket.ts";

function listening() {
  const out: string[] = [];
  const err: string[] = [];
  return { out, err, io: { out: (line: string) => out.push(line), err: (line: string) => err.push(line) } };
}

/** Runs `ctl` as main.ts does. */
async function said(args: string[]) {
  const { out, err, io } = listening();
  const commands = [{ name: "ctl", summary: "", load: () => Promise.resolve({ run }) }];
  const code = await runCommand(commands, { args: ["ctl", ...args], io });
  return { code, out, err };
}

/** A runner's socket that remembers what it was asked. */
async function withRunner(answer: unknown, use: (socket: string, asked: string[]) => Promise<void>) {
  const directory = await Deno.makeTempDir();
  try {
    const asked: string[] = [];
    const socket = `${directory}/runner.sock`;
    await using _server = new ControlServer(socket, (command) => {
      asked.push(command);
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    });
    await use(socket, asked);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("ctl says what is wrong with its words, with exit code 2, and asks nobody", async () => {
  await withRunner(null, async (socket, asked) => {
    for (
      const [words, problem] of [
        [[], /say which runner/],
        [[socket], /say what to do: status, start/],
        [[socket, "sideways"], /no "ctl sideways"; use status/],
        [[socket, "toString"], /no "ctl toString"/],
        [[socket, "failpoint"], /no "ctl failpoint"/],
        [[socket, "stop", "now"], /"now" is one word too many/],
        [[socket, "stop", "--hard"], /--hard/],
      ] as const
    ) {
      const { code, err } = await said([...words]);
      equal(code, 2, words.join(" "));
      match(err[0] ?? "", problem);
    }
    deepEqual(asked, []);
  });
});

Deno.test("ctl hands each command to the runner by the runner's own name for it", async () => {
  await withRunner(null, async (socket, asked) => {
    const words = ["start", "protect", "switchover", "yield", "stop", "promote", "discard", "verify"];
    for (const word of [...words, "confirm-peer-off"]) equal((await said([socket, word])).code, 0, word);
    deepEqual(asked, [...words, "confirm_peer_off"]);
  });
});

Deno.test("ctl status is a sentence for people, and everything with --json", async () => {
  const engine = { epoch: 8, committed: 7, dirty_pages: 10, page_bytes: 500 };
  const watchdog = { state: "absent", why: "there is no /dev/watchdog" };
  const status = {
    sentence: "Protected.",
    phase: "protected",
    term: 3,
    engine,
    fencing: "gate only",
    watchdog,
  };
  await withRunner(status, async (socket) => {
    const text = (await said([socket, "status"])).out.join("\n");
    match(text, /^Protected\.\n/);
    match(text, /state protected, term 3, epoch 8, committed 7/);
    match(text, /10 dirty pages, 50 bytes each/);
    match(text, /fenced by: gate only/);
    match(text, /watchdog absent: there is no/);
    const { out } = await said([socket, "status", "--json"]);
    deepEqual(JSON.parse(out.join()), status);
  });
});

Deno.test("ctl status shows two hosts that both ran the VM side by side, and only those", async () => {
  const here = {
    runs: false,
    term: 2,
    epoch: 7,
    since: "2026-03-01T10:00:00.5Z",
    until: null,
    last_write: null,
  };
  const other = { ...here, runs: true, term: 3, last_write: "2026-03-01T11:00:00.123Z" };
  const status = { sentence: "Both.", phase: "diverged", term: 3, here, other };
  const lines = [
    "  this host:      ran the VM from 2026-03-01 10:00:00 UTC until its host failed in term 2, epoch 7",
    "  the other host: runs the VM since 2026-03-01 10:00:00 UTC in term 3, epoch 7, " +
    "disks last written 2026-03-01 11:00:00 UTC",
  ];
  const shown = async (value: unknown) => {
    let text = "";
    await withRunner(value, async (socket) => void (text = (await said([socket, "status"])).out.join("\n")));
    return lines.filter((line) => text.includes(line)).length;
  };
  equal(await shown(status), 2);
  equal(await shown({ ...status, phase: "solo", peer: { flags: 130 } }), 2);
  equal(await shown({ ...status, phase: "solo", peer: { flags: 2 } }), 0);
  equal(await shown({ ...status, other: { runs: "?" }, here: null }), 0);
});

Deno.test("ctl ends with 5 and says what to do when it would not be safe now", async () => {
  await withRunner(new RefusedError("not whole yet", { op: "x", hint: "Wait." }), async (socket) => {
    const { code, err } = await said([socket, "switchover"]);
    equal(code, 5);
    match(err.join("\n"), /not whole yet\n.*what to do: Wait\./);
  });
});

Deno.test("ctl ends with 1 and says what to do when the runner fails, or none is there", async () => {
  const refusal = new EdgeError("not here", { op: "x", hint: "Ask the other host." });
  await withRunner(refusal, async (socket) => {
    const { code, err } = await said([socket, "switchover"]);
    equal(code, 1);
    match(err.join("\n"), /not here\n.*what to do: Ask the other host\./);
  });
  const { code, err } = await said(["/nonexistent/runner.sock", "status"]);
  equal(code, 1);
  match(err.join("\n"), /No runner listens at \/nonexistent/);
});
