import assert from "node:assert/strict";
import { buildLauncher } from "../../build/pack.ts";
import { Program, said } from "./pack_kit.ts";

Deno.test("a packed program unpacks itself once and passes its arguments on as they are", async () => {
  await using program = await Program.make();
  const first = await program.start(["demo", "--json", "two words", ""]);
  assert.equal(first.code, 0, first.err);
  assert.match(first.out, /\[run\]\n\[--no-prompt\]/);
  assert.match(first.out, /app\/main\.js\]\n\[demo\]\n\[--json\]\n\[two words\]\n\[\]\n$/);
  const home = program.home();
  const { ino } = await Deno.stat(`${home}/deno`);
  assert.equal((await program.start()).code, 0);
  assert.equal((await Deno.stat(`${home}/deno`)).ino, ino);
});

Deno.test("what it unpacks is for its user alone and named by its content", async () => {
  await using program = await Program.make();
  await using other = await Program.make({ build: "two" });
  await program.start();
  await other.start();
  assert.equal((await Deno.stat(program.home())).mode! & 0o777, 0o700);
  assert.equal((await Deno.stat(`${program.home()}/app/main.js`)).mode! & 0o777, 0o400);
  assert.match(program.unpacked()[0]!, /^[0-9a-f]{64}$/);
  assert.notDeepEqual(program.unpacked(), other.unpacked());
});

Deno.test("Deno's own variables do not reach the program, and others do", async () => {
  await using program = await Program.make({ script: "env" });
  const env = { DENO_V8_FLAGS: "--bad", NODE_OPTIONS: "--bad", ISERVFT_ASSETS: "/bad", KEPT: "yes" };
  const { out } = await program.start([], env);
  assert.doesNotMatch(out, /bad/);
  assert.match(out, /^KEPT=yes$/m);
  assert.match(out, new RegExp(`^DENO_DIR=${program.home()}/deno-dir$`, "m"));
  assert.match(out, new RegExp(`^ISERVFT_BINARY=${program.path}$`, "m"));
});

Deno.test("many first starts at once all work, and leave one directory", async () => {
  await using program = await Program.make();
  const starts = await Promise.all(Array.from({ length: 12 }, () => program.start(["x"])));
  for (const start of starts) assert.equal(start.code, 0, start.err);
  assert.equal(new Set(starts.map((start) => start.out)).size, 1);
  assert.match(program.unpacked().join(" "), /^[0-9a-f]{64}$/);
});

Deno.test("an unpacked file that was changed, cut, replaced or removed is put right at the next start", async () => {
  const tampering: ((path: string) => Promise<void>)[] = [
    async (path) => {
      await Deno.chmod(path, 0o600);
      await Deno.writeTextFile(path, "// bad\n");
      await Deno.chmod(path, 0o400);
    },
    (path) => Deno.truncate(path, 1),
    (path) => Deno.remove(path),
    (path) => Deno.chmod(path, 0o444),
    async (path) => {
      await Deno.rename(path, `${path}.away`);
      await Deno.symlink(`${path}.away`, path);
    },
  ];
  for (const tamper of tampering) {
    await using program = await Program.make();
    await program.start();
    const path = `${program.home()}/app/main.js`;
    await tamper(path);
    const again = await program.start();
    assert.equal(again.code, 0, again.err);
    assert.equal(await Deno.readTextFile(path), "// one\n", tamper.toString());
    assert.equal(program.unpacked().length, 1, tamper.toString());
  }
});

Deno.test("a damaged program file is refused with one clear sentence, and nothing is unpacked from it", async () => {
  await using program = await Program.make();
  const whole = await Deno.readFile(program.path);
  const launcher = (await Deno.stat(await buildLauncher())).size;
  const footer = whole.length - 64;
  const damage: Record<string, Uint8Array> = { cut: whole.slice(0, -1) };
  for (
    const [name, at] of [["blob", launcher + 20], ["index", footer - 3], ["checksum", footer + 40], [
      "magic",
      footer,
    ]] as const
  ) {
    const copy = whole.slice();
    copy[at] = copy[at]! ^ 1;
    damage[name] = copy;
  }
  for (const [name, bytes] of Object.entries(damage)) {
    await Deno.writeFile(program.path, bytes);
    const start = await program.start();
    assert.equal(start.code, 1, name);
    assert.match(start.err, /^error: this program's file is damaged[^\n]*\n$/, name);
    assert.equal(start.out, "", name);
    assert.deepEqual(program.unpacked(), [], name);
  }
  await Deno.writeFile(program.path, whole);
  assert.equal((await program.start()).code, 0);
});

Deno.test("a directory that others may write to, or a link in its place, is not trusted", async () => {
  const planting: ((base: string) => Promise<void>)[] = [
    async (base) => {
      await Deno.mkdir(base);
      await Deno.chmod(base, 0o777);
    },
    async (base) => {
      await Deno.mkdir(`${base}-elsewhere`, { mode: 0o700 });
      await Deno.symlink(`${base}-elsewhere`, base);
    },
  ];
  for (const plant of planting) {
    await using program = await Program.make();
    await plant(`${program.cache}/iservft-edge`);
    // The next places are the machine's own, so they are hidden behind empty ones.
    const hidden = 'mount -t tmpfs none /var/cache && mount -t tmpfs none /run && exec "$0"';
    const output = await new Deno.Command("unshare", {
      args: ["--mount", "sh", "-c", hidden, program.path],
      clearEnv: true,
      env: { XDG_CACHE_HOME: program.cache, PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
    }).output();
    const start = said(output);
    assert.equal(start.code, 0, start.err);
    assert.match(start.out, /^assets=\/var\/cache\/iservft-edge\/[0-9a-f]{64}$/m);
    assert.deepEqual(program.unpacked(), []);
  }
});

Deno.test("without any place to unpack it says what was tried and what to do", async () => {
  await using program = await Program.make();
  const hidden = "for d in /var/cache /tmp; do mount -t tmpfs -o ro none $d; done; exec /proc/self/fd/9";
  const output = await new Deno.Command("unshare", {
    args: ["--mount", "sh", "-c", `exec 9<'${program.path}'; ${hidden}`],
    clearEnv: true,
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
  }).output();
  const start = said(output);
  assert.equal(start.code, 1);
  assert.match(start.err, /\/var\/cache\/iservft-edge: Read-only file system/);
  assert.match(start.err, /set XDG_CACHE_HOME/);
});

Deno.test("another build's directory is removed when nobody uses it any more, and not before", async () => {
  await using first = await Program.make({ script: "echo up; read line", build: "first" });
  const running = new Deno.Command(first.path, {
    clearEnv: true,
    env: { XDG_CACHE_HOME: first.cache },
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = running.stdout.getReader();
  await reader.read();
  const firstHome = first.home();
  const env = { XDG_CACHE_HOME: first.cache };

  await using second = await Program.make({ build: "second" });
  assert.equal((await second.start([], env)).code, 0);
  assert.equal(first.unpacked().length, 2);
  assert.ok(Deno.statSync(`${firstHome}/deno`).isFile);

  await running.stdin.close();
  await running.status;
  await reader.cancel();
  await using third = await Program.make({ build: "third" });
  assert.equal((await third.start([], env)).code, 0);
  assert.throws(() => Deno.statSync(firstHome), Deno.errors.NotFound);
  assert.equal(first.unpacked().length, 1);
});

Deno.test("what a killed unpacking left is removed, and an unpacking under way is not touched", async () => {
  await using program = await Program.make();
  const base = `${program.cache}/iservft-edge`;
  await Deno.mkdir(`${base}/.new-dead01/app`, { recursive: true, mode: 0o700 });
  await Deno.mkdir(`${base}/.new-alive1`, { mode: 0o700 });
  await Deno.chmod(base, 0o700);
  const unpacking = new Deno.Command("flock", {
    args: [`${base}/.new-alive1`, "sh", "-c", "echo locked; cat"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = unpacking.stdout.getReader();
  await reader.read();
  assert.equal((await program.start()).code, 0);
  const left = program.unpacked();
  await unpacking.stdin.close();
  await unpacking.status;
  await reader.cancel();
  assert.ok(!left.includes(".new-dead01"), left.join(" "));
  assert.ok(left.includes(".new-alive1"), left.join(" "));
});
