import { deepEqual, equal, match } from "node:assert/strict";
import { run } from "../../lib/cli/ctl.ts";
import { runCommand } from "../../lib/cli/command.ts";
import { EdgeError } from "../../lib/errors.ts";
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
    for (const word of ["start", "protect", "switchover", "yield", "stop", "confirm-peer-off", "verify"]) {
      equal((await said([socket, word])).code, 0, word);
    }
    deepEqual(asked, ["start", "protect", "switchover", "yield", "stop", "confirm_peer_off", "verify"]);
  });
});

Deno.test("ctl status is a sentence for people, and everything with --json", async () => {
  const engine = { epoch: 8, committed: 7, dirty_pages: 10, page_bytes: 500 };
  const status = { sentence: "Protected.", phase: "protected", term: 3, engine, fencing: "gate only" };
  await withRunner(status, async (socket) => {
    const text = (await said([socket, "status"])).out.join("\n");
    match(text, /^Protected\.\n/);
    match(text, /state protected, term 3, epoch 8, committed 7/);
    match(text, /10 dirty pages, 50 bytes each/);
    match(text, /fenced by: gate only/);
    const { out } = await said([socket, "status", "--json"]);
    deepEqual(JSON.parse(out.join()), status);
  });
});

Deno.test("ctl ends with 1 and says what to do when the runner refuses, or none is there", async () => {
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
