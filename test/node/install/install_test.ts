import assert from "node:assert/strict";
import { RefusedError } from "../../../lib/errors.ts";
import { parseServeConfig } from "../../../lib/node/config.ts";
import {
  installSteps,
  PLACES,
  refuseRunning,
  runningVms,
  uninstallSteps,
} from "../../../lib/node/install/install.ts";
import { readGreeting } from "../../../lib/node/install/greeting.ts";
import { performSteps } from "../../../lib/node/install/steps.ts";
import { firstConfig, serviceUnit } from "../../../lib/node/install/unit.ts";

/** A tree to install into, and a program to install. */
class Tree implements Disposable {
  readonly #top = Deno.makeTempDirSync({ prefix: "iservft-install-" });
  readonly root = `${this.#top}/root`;
  readonly binary = `${this.#top}/iservft-edge`;
  said: string[] = [];

  constructor() {
    for (const path of ["etc", "usr/local/bin", "run", "var/lib"]) {
      Deno.mkdirSync(`${this.root}/${path}`, { recursive: true });
    }
    Deno.writeTextFileSync(`${this.root}/etc/passwd`, "root:x:0:0:root:/root:/bin/sh\n");
    Deno.writeTextFileSync(`${this.root}/etc/group`, "root:x:0:\n");
    Deno.writeTextFileSync(this.binary, "#!/bin/sh\necho 1\n");
  }

  mode(path: string): number {
    return (Deno.statSync(this.root + path).mode ?? 0) & 0o7777;
  }

  has(path: string): boolean {
    try {
      Deno.lstatSync(this.root + path);
      return true;
    } catch {
      return false;
    }
  }

  /** Every path in the tree with its content's length. */
  listing(): string[] {
    const walk = (directory: string): string[] =>
      [...Deno.readDirSync(this.root + directory)].flatMap((entry) => {
        const path = `${directory}/${entry.name}`;
        return entry.isDirectory
          ? [path, ...walk(path)]
          : [`${path} ${Deno.lstatSync(this.root + path).size}`];
      });
    return walk("").sort();
  }

  async install(options: { dryRun?: boolean } = {}): Promise<void> {
    this.said = [];
    const steps = installSteps({ root: this.root, systemd: false }, { binary: this.binary, start: true });
    await performSteps(steps, {
      root: this.root,
      dryRun: options.dryRun ?? false,
      say: (line) => this.said.push(line),
    });
  }

  async uninstall(keepData: boolean): Promise<void> {
    const steps = uninstallSteps({ root: this.root, systemd: false }, { keepData });
    await performSteps(steps, { root: this.root, dryRun: false, say: () => {} });
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.#top, { recursive: true });
  }
}

Deno.test("an installation puts program, unit, user, file and directories where they belong, with their modes", async () => {
  using tree = new Tree();
  await tree.install();
  assert.equal(tree.mode(PLACES.binary), 0o755);
  assert.equal(tree.mode(PLACES.data), 0o700);
  assert.equal(tree.mode(PLACES.unit), 0o644);
  assert.equal(tree.mode(`${PLACES.config}/serve.toml`), 0o640);
  assert.match(
    Deno.readTextFileSync(`${tree.root}/etc/passwd`),
    /^iservft-qemu:x:\d+:\d+:.*:\/usr\/sbin\/nologin$/m,
  );
  assert.ok(
    tree.has("/etc/systemd/system/multi-user.target.wants/iservft-edge.service"),
    "it is started at each boot",
  );
});

Deno.test("installing again changes nothing, and says so; a newer program replaces the older in one go", async () => {
  using tree = new Tree();
  await tree.install();
  Deno.writeTextFileSync(`${tree.root}${PLACES.config}/serve.toml`, "# mine\n");
  const before = tree.listing();
  using running = Deno.openSync(tree.root + PLACES.binary);
  await tree.install();
  assert.deepEqual(tree.listing(), before);
  assert.ok(tree.said.includes(`is there: ${PLACES.binary}`), tree.said.join("\n"));
  Deno.writeTextFileSync(tree.binary, "#!/bin/sh\necho 2 newer\n");
  await tree.install();
  assert.match(Deno.readTextFileSync(tree.root + PLACES.binary), /newer/);
  assert.match(new TextDecoder().decode(readAll(running)), /echo 1/, "who runs the old one keeps it");
  assert.equal(
    Deno.readTextFileSync(`${tree.root}${PLACES.config}/serve.toml`),
    "# mine\n",
    "a person's file is kept",
  );
});

function readAll(file: Deno.FsFile): Uint8Array {
  const buffer = new Uint8Array(1000);
  return buffer.subarray(0, file.readSync(buffer) ?? 0);
}

Deno.test("a dry run says everything and does nothing", async () => {
  using tree = new Tree();
  const before = tree.listing();
  await tree.install({ dryRun: true });
  assert.deepEqual(tree.listing(), before);
  for (const path of [PLACES.binary, PLACES.unit, PLACES.data]) {
    assert.ok(tree.said.some((line) => line.startsWith("would ") && line.includes(path)), path);
  }
});

Deno.test("uninstalling removes what was installed; data stays when it is to be kept", async () => {
  using tree = new Tree();
  const empty = tree.listing().filter((path) => !/passwd|group|shadow/.test(path));
  await tree.install();
  Deno.writeTextFileSync(`${tree.root}${PLACES.data}/pair.json`, "{}");
  await tree.uninstall(true);
  assert.ok(tree.has(`${PLACES.data}/pair.json`) && tree.has(`${PLACES.config}/serve.toml`));
  assert.ok(!tree.has(PLACES.binary) && !tree.has(PLACES.unit));
  await tree.uninstall(false);
  const left = tree.listing().filter((path) =>
    !empty.includes(path) && !/passwd|group|shadow|\.pwd\.lock/.test(path)
  );
  const directories = [
    "/etc/systemd",
    "/etc/systemd/system",
    "/etc/systemd/system/multi-user.target.wants",
    "/etc/sysusers.d",
    "/var/cache",
  ];
  assert.deepEqual(left.filter((path) => !directories.includes(path)), []);
});

Deno.test("on a machine with systemd the service is started the first time, restarted at an upgrade, and VMs are left alone", async () => {
  using tree = new Tree();
  const run = async (systemd: boolean) => {
    const ran: string[] = [];
    const steps = installSteps({ root: tree.root, systemd }, { binary: tree.binary, start: true })
      .map((step) => step.kind === "run" ? { ...step, root: true } : step);
    await performSteps(steps, {
      root: tree.root,
      dryRun: false,
      say: () => {},
      run: (words) => {
        ran.push(words.join(" "));
        return Promise.resolve({ code: 0, said: "" });
      },
    });
    return ran;
  };
  const first = await run(true);
  assert.equal(first.at(-1), "systemctl start iservft-edge.service");
  const second = await run(true);
  assert.deepEqual(second.slice(-2), ["systemctl daemon-reload", "systemctl restart iservft-edge.service"]);
  assert.ok([...first, ...second].every((line) => !line.includes("iservft-edge-vm-")));
  assert.ok((await run(false)).every((line) => !/ (re)?start /.test(line)));
  const failing = performSteps(
    installSteps({ root: "", systemd: true }, { binary: tree.binary, start: true }).slice(-1),
    {
      root: "",
      dryRun: false,
      say: () => {},
      run: () => Promise.resolve({ code: 3, said: "Unit is masked." }),
    },
  );
  await assert.rejects(failing, /ended with code 3: Unit is masked/);
});

Deno.test("uninstalling is refused while a runner has its VM's lock, and only then", async () => {
  using tree = new Tree();
  const run = `${tree.root}/run/iservft-edge`;
  Deno.mkdirSync(`${run}/press-1`, { recursive: true });
  const lock = `${run}/press-1/runner.lock`;
  Deno.writeTextFileSync(lock, "");
  assert.deepEqual(runningVms(run), []);
  const holder = new Deno.Command("flock", {
    args: ["--no-fork", lock, "sh", "-c", "echo has it; read line"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  await using _holder = holder;
  const said = holder.stdout.getReader();
  await said.read();
  assert.deepEqual(runningVms(run), ["press-1"]);
  assert.throws(
    () => refuseRunning(runningVms(run)),
    (error) => error instanceof RefusedError && /press-1/.test(error.message),
  );
  await holder.stdin.close();
  while (!(await said.read()).done);
  await holder.status;
  assert.deepEqual(runningVms(run), []);
  refuseRunning([]);
  assert.deepEqual(runningVms(`${tree.root}/nowhere`), []);
});

Deno.test("systemd finds nothing wrong with the unit, and a mistake in it would be found", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "iservft-unit-" });
  const verify = async (text: string) => {
    Deno.writeTextFileSync(`${directory}/iservft-edge.service`, text);
    const { code, stderr } = await new Deno.Command("systemd-analyze", {
      args: ["verify", "--man=no", "--recursive-errors=no", `${directory}/iservft-edge.service`],
      stdin: "null",
    }).output();
    return { code, said: new TextDecoder().decode(stderr) };
  };
  try {
    const unit = serviceUnit("/bin/sh");
    const good = await verify(unit);
    assert.deepEqual([good.code, good.said.trim()], [0, ""]);
    const bad = await verify(unit.replace("KillMode=process", "KillMode=proces"));
    assert.match(bad.said, /kill mode/);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
  for (const kept of ["Type=notify", "KillMode=process", "Restart=always", "RuntimeDirectoryPreserve=yes"]) {
    assert.ok(serviceUnit(PLACES.binary).includes(`\n${kept}\n`), kept);
  }
});

Deno.test("whoever installs is shown the link for the first administrator, as soon as the journal has it", async () => {
  const invocation = "0123456789abcdef0123456789abcdef";
  const page = "page         https://127.0.0.1:8443  https://[::1]:8443   certificate  B4:B3";
  const link = "https://127.0.0.1:8443/setup?token=GWZ9aA1Vbrd3fGuQ5CJxLq2CW9STOM-hoyoj2vSDNKc";
  const started = "The node's service started, version 0.1.0. event=node.started";
  const journal = (...texts: string[]) => {
    let asked = 0;
    return (words: readonly string[]) => {
      const said = words[0] === "systemctl" ? `${invocation}\n` : texts[Math.min(asked++, texts.length - 1)]!;
      assert.ok(
        words[0] === "systemctl" || words.includes(`_SYSTEMD_INVOCATION_ID=${invocation}`),
        "of this start alone",
      );
      return Promise.resolve({ code: 0, said });
    };
  };
  const pause = () => Promise.resolve();
  const first = await readGreeting(
    journal("", page, `${page}\nMake one by this link\n${link}\n${started}`),
    pause,
  );
  assert.deepEqual(first, { page: "https://127.0.0.1:8443", setup: link });
  const later = await readGreeting(journal("", `${page}\n${started}`), pause);
  assert.deepEqual(later, { page: "https://127.0.0.1:8443", setup: null });
  assert.deepEqual(await readGreeting(journal(""), pause), { page: null, setup: null });
});

Deno.test("the first file of a node is one that the node accepts", () => {
  assert.equal(parseServeConfig({ file: "serve.toml", text: firstConfig() }).qemu_user, "iservft-qemu");
});
