import assert from "node:assert/strict";
import { commandLine, vmPaths } from "../../lib/vm/command_line.ts";
import { QemuError, QemuProcess, qemuVersion, userIds } from "../../lib/vm/qemu.ts";
import { QmpError } from "../../lib/vm/qmp.ts";
import { parseSpec } from "../../lib/vm/spec.ts";

const QEMU = "qemu-system-x86_64";
const SPEC = 'name = "t"\nmemory = 64\ncpu = "qemu64"\nserial = "off"\n';

/** A run directory with the guest's memory in it, and QEMU's arguments. */
async function place(spec = SPEC) {
  const runDir = await Deno.makeTempDir({ prefix: "isf" });
  const memoryPath = `${runDir}/ram`;
  const file = await Deno.open(memoryPath, { create: true, write: true });
  await file.truncate(64 << 20);
  file.close();
  const parsed = parseSpec({ file: "vm.toml", text: spec });
  const side = { runDir, dataDir: runDir, memoryPath, accel: "tcg" as const };
  return {
    runDir,
    primary: commandLine(parsed, { role: "primary", ...side }),
    standby: commandLine(parsed, { role: "standby", ...side }),
    async [Symbol.asyncDispose]() {
      await Deno.remove(runDir, { recursive: true });
    },
  };
}

async function failure(promise: Promise<unknown>): Promise<QemuError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof QemuError, String(error));
    return error;
  }
  throw new Error("it did not fail");
}

/** A script that plays a QEMU. */
async function stub(text: string): Promise<string> {
  const path = await Deno.makeTempFile();
  await Deno.writeTextFile(path, `#!/bin/sh\n${text}\n`);
  await Deno.chmod(path, 0o755);
  return path;
}

Deno.test("the installed QEMU is new enough", async () => {
  const [major, minor] = await qemuVersion(QEMU);
  assert.ok(major > 7 || (major === 7 && minor >= 2));
});

Deno.test("a QEMU that is absent, too old or no QEMU is refused with what to do", async () => {
  const absent = await failure(qemuVersion("/nowhere/qemu"));
  assert.match(absent.message, /cannot be run/);
  assert.match(absent.hint, /apt install qemu-system-x86/);
  for (
    const [says, expected] of [
      ["QEMU emulator version 6.2.0 (Debian)", /QEMU 6\.2\.0 is too old; 7\.2/],
      ["hello", /does not say a version: "hello/],
    ] as const
  ) {
    const path = await stub(`echo '${says}'`);
    assert.match((await failure(qemuVersion(path))).message, expected);
    await Deno.remove(path);
  }
});

Deno.test("QEMU starts stopped, answers its monitor, and is gone after stop()", async () => {
  await using at = await place();
  const qemu = await QemuProcess.start({ binary: QEMU, args: at.primary, runDir: at.runDir });
  const monitor = await qemu.monitor();
  assert.deepEqual(await monitor.execute("query-status"), {
    running: false,
    singlestep: false,
    status: "prelaunch",
  });
  const resumed = monitor.awaitEvent((event) => event.event === "RESUME");
  await monitor.execute("cont");
  await resumed;
  const exit = await qemu.stop();
  assert.equal(exit.code, 0);
  await assert.rejects(Deno.stat(`/proc/${qemu.pid}`), Deno.errors.NotFound);
});

Deno.test("the standby waits for its state, and a killed QEMU is seen to end", async () => {
  await using at = await place();
  await using qemu = await QemuProcess.start({ binary: QEMU, args: at.standby, runDir: at.runDir });
  const status = await (await qemu.monitor()).execute("query-status") as { status: string };
  assert.equal(status.status, "inmigrate");
  Deno.kill(qemu.pid, "SIGKILL");
  const exit = await qemu.exited;
  assert.equal(exit.signal, "SIGKILL");
});

Deno.test("an error of the monitor keeps QEMU's own words, and an unknown command does not end it", async () => {
  await using at = await place();
  await using qemu = await QemuProcess.start({ binary: QEMU, args: at.primary, runDir: at.runDir });
  const monitor = await qemu.monitor();
  await assert.rejects(monitor.execute("no-such-command"), (error) => {
    assert.ok(error instanceof QmpError);
    assert.equal(error.kind, "CommandNotFound");
    return true;
  });
  const [a, b] = await Promise.all([monitor.execute("query-name"), monitor.execute("query-status")]);
  assert.deepEqual(a, { name: "t" });
  assert.equal((b as { status: string }).status, "prelaunch");
});

Deno.test("a QEMU that dies at its start is an error with its last lines and what to do", async () => {
  const cases: [string, RegExp][] = [
    ['cpu = "NoSuchCpu"', /cpu/],
    ['machine = "pc-q35-99.9"', /machine/],
    ['devices = ["no-such-device"]', /devices/],
    ['kernel = "missing"', /paths/],
  ];
  for (const [line, hint] of cases) {
    await using at = await place(`${line}\n${SPEC.replace(line.startsWith("cpu") ? /cpu.*\n/ : /$^/, "")}`);
    const error = await failure(QemuProcess.start({ binary: QEMU, args: at.primary, runDir: at.runDir }));
    assert.match(error.message, /QEMU ended at its start with code 1; it said:\n.*qemu/s);
    assert.match(error.hint, hint);
    assert.ok(error.lastLines.length > 0);
  }
});

Deno.test("what QEMU writes is kept only so far", async () => {
  await using at = await place();
  const path = await stub("i=0; while [ $i -lt 500 ]; do echo line $i >&2; i=$((i+1)); done; exit 3");
  const error = await failure(QemuProcess.start({ binary: path, args: [], runDir: at.runDir }));
  assert.equal(error.lastLines.length, 40);
  assert.equal(error.lastLines.at(-1), "line 499");
  assert.match(error.message, /with code 3/);
  await Deno.remove(path);
});

Deno.test("a start that is given up leaves no QEMU behind", async () => {
  await using at = await place();
  const path = await stub("echo $$ > pid; exec sleep 60");
  const give = new AbortController();
  const start = QemuProcess.start({ binary: path, args: [], runDir: at.runDir, signal: give.signal });
  let pid = 0;
  while (pid === 0) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    pid = Number(await Deno.readTextFile(`${at.runDir}/pid`).catch(() => "0"));
  }
  give.abort(new Error("given up"));
  await assert.rejects(start, /given up/);
  await assert.rejects(Deno.stat(`/proc/${pid}`), Deno.errors.NotFound);
  await Deno.remove(path);
});

Deno.test("QEMU's user gets the directory for its own sockets", async () => {
  await using at = await place();
  const owner = userIds("nobody");
  await using qemu = await QemuProcess.start({ binary: QEMU, args: at.primary, runDir: at.runDir, owner });
  assert.equal(Deno.statSync(vmPaths(at.runDir).qemuDir).uid, owner.uid);
  assert.ok(qemu.pid > 0);
  assert.throws(() => userIds("no-such-user"), /There is no user no-such-user/);
});
