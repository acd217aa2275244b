/** What the runner says to bad input and to a host that lacks something: what was wrong, with the value seen, and what to do. Exit
 * code 2 for a wrong file, 1 for what did not work. No guest runs here. */

import assert from "node:assert/strict";
import { selfCommand } from "../../lib/cli/assets.ts";
import { Lab } from "../../lib/lab/lab.ts";
import { runCommand } from "../../lib/lab/command.ts";
import { ADDRESSES, BRIDGE } from "../../lib/lab/places.ts";

const ENDED_MS = 20_000;

/** One host of a lab with the files of a VM that needs no kernel. */
class Bench implements AsyncDisposable {
  readonly lab: Lab;
  readonly directory: string;
  host: string;
  vm: string;

  private constructor(lab: Lab, directory: string) {
    this.lab = lab;
    this.directory = directory;
    this.host = `node = "a"
run_dir = "/run/isf-${lab.id}"
data_dir = "${directory}"
key_file = "${directory}/key"
[[link]]
local = "${ADDRESSES.links.a.a}"
peer = "${ADDRESSES.links.a.b}"
[lan]
local = "${ADDRESSES.lan.a}"
peer = "${ADDRESSES.lan.b}"
bridge = "${BRIDGE}"
reference = "${ADDRESSES.reference}"
[fencing]
watchdog = "off"
`;
    this.vm = `name = "t"
memory = 64
vcpus = 1
accel = "tcg"
[[disk]]
path = "disk.img"
[[nic]]
mac = "52:54:00:12:34:56"
`;
  }

  static async open(): Promise<Bench> {
    const directory = await Deno.makeTempDir({ prefix: "iservft-errors-" });
    try {
      const lab = await Lab.up({ id: `r${crypto.randomUUID().slice(0, 6)}` });
      const bench = new Bench(lab, directory);
      await Deno.writeTextFile(`${directory}/key`, "a5".repeat(32), { mode: 0o600 });
      await bench.image(1024 * 1024);
      return bench;
    } catch (error) {
      await Deno.remove(directory, { recursive: true });
      throw error;
    }
  }

  async image(bytes: number): Promise<void> {
    await Deno.writeFile(`${this.directory}/disk.img`, new Uint8Array());
    await Deno.truncate(`${this.directory}/disk.img`, bytes);
  }

  /** Runs the runner to its end, or until it says a line that `enough` accepts, which ends it. */
  async run(options: { before?: string[]; start?: boolean; enough?: RegExp } = {}): Promise<Ended> {
    const { before = [], start = false, enough } = options;
    await Deno.writeTextFile(`${this.directory}/host.toml`, this.host);
    await Deno.writeTextFile(`${this.directory}/vm.toml`, this.vm);
    const command = [
      ...before,
      ...selfCommand(),
      ...["runner", "--vm", `${this.directory}/vm.toml`, "--host", `${this.directory}/host.toml`],
      ...(start ? ["--start"] : []),
    ];
    const child = this.lab.exec("a", command, { stdin: "null", stdout: "piped", stderr: "piped" });
    const late = setTimeout(() => child.kill("SIGKILL"), ENDED_MS);
    const errors = new Response(child.stderr).text();
    let said = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      said += text;
      if (enough?.test(said)) child.kill("SIGTERM");
    }
    const { code } = await child.status;
    clearTimeout(late);
    return { code, text: said + await errors };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]();
    await Deno.remove(this.directory, { recursive: true });
    await Deno.remove(`/run/isf-${this.lab.id}`, { recursive: true }).catch(() => {});
  }
}

interface Ended {
  code: number;
  text: string;
}

/** It ended with this code, said each of these, and what to do. */
function saysSo(ended: Ended, code: number, ...said: RegExp[]): void {
  for (const pattern of [...said, /what to do: \S/]) assert.match(ended.text, pattern);
  assert.equal(ended.code, code, ended.text);
}

Deno.test("control: with nothing wrong the runner waits for the other host, and ends with code 0", async () => {
  await using bench = await Bench.open();
  const ended = await bench.run({ enough: /Waiting/ });
  assert.equal(ended.code, 0, ended.text);
  assert.doesNotMatch(ended.text, /error|what to do/);
});

Deno.test("a watchdog that is not there is said once, and hinders nothing", async () => {
  await using bench = await Bench.open();
  bench.host = bench.host.replace('"off"', '"/dev/isf-none"');
  const ended = await bench.run({ enough: /no watchdog: / });
  assert.match(
    ended.text,
    /^no watchdog: there is no \/dev\/isf-none: a host that stands still is silenced by/m,
  );
  assert.equal(ended.text.split("no watchdog: ").length, 2, ended.text);
  assert.equal(ended.code, 0, ended.text);
});

Deno.test("wrong images are named, with what to do, and end the runner with code 1", async (t) => {
  await using bench = await Bench.open();
  const image = `${bench.directory}/disk.img`;
  await t.step("missing", async () => {
    await Deno.remove(image);
    saysSo(await bench.run(), 1, /disk\.img/, /No such file|not there|does not exist/i);
  });
  await t.step("empty", async () => {
    await bench.image(0);
    saysSo(await bench.run(), 1, /disk\.img/, /\b0 bytes|empty|too small/i);
  });
  await t.step("not a multiple of 512", async () => {
    await bench.image(1000);
    saysSo(await bench.run(), 1, /disk\.img/, /1000/, /512/);
  });
  await t.step("open elsewhere", async () => {
    await bench.image(1024 * 1024);
    const holder = new Deno.Command("qemu-io", {
      args: ["-f", "raw", image],
      stdin: "piped",
      stdout: "piped",
    })
      .spawn();
    const output = holder.stdout.getReader();
    try {
      await output.read(); // its prompt: it has the image open
      saysSo(await bench.run({ enough: /Waiting/ }), 1, /disk\.img/, /locked by another program/);
    } finally {
      await holder.stdin.close();
      while (!(await output.read()).done);
      await holder.status;
    }
    // The control: once it is closed there the same image is taken.
    assert.equal((await bench.run({ enough: /Waiting/ })).code, 0);
  });
  await t.step("on a file system that is read-only", async () => {
    const mount = `${bench.directory}/ro`;
    await Deno.mkdir(mount);
    await runCommand(["mount", "-t", "tmpfs", "none", mount], { op: "mount" });
    try {
      await Deno.copyFile(image, `${mount}/disk.img`);
      await runCommand(["mount", "-o", "remount,ro", mount], { op: "mount" });
      bench.vm = bench.vm.replace('"disk.img"', `"${mount}/disk.img"`);
      saysSo(await bench.run(), 1, /ro\/disk\.img/, /read-only/i);
    } finally {
      await runCommand(["umount", mount], { op: "unmount" });
    }
  });
});

Deno.test("a bridge that is not there is named", async () => {
  await using bench = await Bench.open();
  bench.host = bench.host.replace(`bridge = "${BRIDGE}"`, 'bridge = "br-none"');
  saysSo(await bench.run(), 1, /br-none/);
});

Deno.test("a QEMU that is absent, too old, or ends at its start is named, with what to do", async (t) => {
  await using bench = await Bench.open();
  const host = bench.host;
  const withQemu = (path: string) => host.replace("[[link]]", `qemu = "${path}"\n[[link]]`);
  await t.step("absent", async () => {
    bench.host = withQemu("/nowhere/qemu-system-x86_64");
    saysSo(await bench.run(), 1, /\/nowhere\/qemu-system-x86_64/, /apt install qemu-system-x86/);
  });
  await t.step("too old", async () => {
    const old = `${bench.directory}/old-qemu`;
    await Deno.writeTextFile(old, "#!/bin/sh\necho 'QEMU emulator version 6.2.0'\n", { mode: 0o755 });
    bench.host = withQemu(old);
    saysSo(await bench.run(), 1, /6\.2\.0 is too old/, /7\.2/);
  });
  await t.step("ends at its start", async () => {
    bench.host = host.replace('reference = "10.77.0.1"\n', "").replace(
      "[[link]]",
      'arbiter = "manual"\n[[link]]',
    );
    bench.vm = bench.vm.replace("[[disk]]", 'devices = ["no-such-device"]\n[[disk]]');
    const ended = await bench.run({ start: true, enough: /what to do/ });
    saysSo(ended, 1, /no-such-device/, /Correct `devices`/);
  });
});

Deno.test("whoever is not root is told so", async () => {
  await using bench = await Bench.open();
  // Whoever it is must be able to read the program's packages: a copy of them.
  const cache = await Deno.makeTempDir({ prefix: "iservft-cache-" });
  try {
    const { npmCache } = JSON.parse(
      await runCommand([Deno.execPath(), "info", "--json"], { op: "find the packages" }),
    );
    await runCommand(["cp", "-r", npmCache, `${cache}/npm`], { op: "copy the packages" });
    await runCommand(["chown", "-R", "65534:65534", cache, `${bench.directory}`], {
      op: "copy the packages",
    });
    const before = [
      "env",
      `DENO_DIR=${cache}`,
      "setpriv",
      "--reuid=65534",
      "--regid=65534",
      "--clear-groups",
    ];
    // Only the user is another: it may read what root may, so that the program is found wherever it is.
    before.push("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search");
    saysSo(await bench.run({ before, enough: /Waiting/ }), 1, /needs root/, /sudo/);
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
});

Deno.test("a QEMU without userfaultfd, since the shim is not in it, is named at its start", async () => {
  await using bench = await Bench.open();
  const empty = `${bench.directory}/empty.so`;
  await runCommand(["gcc", "-shared", "-x", "c", "/dev/null", "-o", empty], { op: "make an empty library" });
  bench.host = bench.host.replace("[[link]]", `shim = "${empty}"\narbiter = "manual"\n[[link]]`);
  const ended = await bench.run({ start: true, enough: /what to do/ });
  saysSo(ended, 1, /userfaultfd|shim/i);
});

Deno.test("wrong files end the runner with code 2, the line and the value named", async (t) => {
  await using bench = await Bench.open();
  const { host, vm } = bench;
  await t.step("the VM's", async () => {
    bench.vm = vm.replace("memory = 64", "memory = 1");
    saysSo(await bench.run(), 2, /vm\.toml:2: memory/);
    bench.vm = vm;
  });
  await t.step("the host's", async () => {
    bench.host = `${host}[heartbeat]\ntakeover_ms = 1\n`;
    saysSo(await bench.run(), 2, /host\.toml:\d+: heartbeat\.takeover_ms/);
    bench.host = host;
  });
  await t.step("a key that others may read", async () => {
    await Deno.chmod(`${bench.directory}/key`, 0o644);
    saysSo(await bench.run(), 2, /mode 644/);
  });
  await t.step("no file named at all", async () => {
    const [program = "", ...args] = selfCommand();
    const { code, stderr } = await new Deno.Command(program, {
      args: [...args, "runner"],
      stdout: "null",
      stderr: "piped",
    })
      .output();
    assert.equal(code, 2);
    assert.match(new TextDecoder().decode(stderr), /--vm and --host are needed/);
  });
});
