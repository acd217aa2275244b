import assert from "node:assert/strict";
import { run as backup } from "../../lib/cli/backup.ts";
import type { CommandIo } from "../../lib/cli/command.ts";
import { run as install, thisBinary } from "../../lib/cli/install.ts";
import { run as uninstall } from "../../lib/cli/uninstall.ts";
import { RefusedError } from "../../lib/errors.ts";
import { openDataDirectory } from "../../lib/node/data_directory.ts";
import { openIdentity } from "../../lib/node/identity.ts";

/** Where a command writes, and its lines. */
function recording(): CommandIo & { lines: string[]; errors: string[] } {
  const lines: string[] = [];
  const errors: string[] = [];
  return { lines, errors, out: (line) => void lines.push(line), err: (line) => void errors.push(line) };
}

class Scratch implements Disposable {
  readonly path = Deno.makeTempDirSync({ prefix: "iservft-cli-" });

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

Deno.test("install takes the one file that the program is, and refuses when it runs from its sources", async () => {
  assert.equal(
    thisBinary((name) => name === "ISERVFT_BINARY" ? "/media/usb/iservft-edge" : undefined),
    "/media/usb/iservft-edge",
  );
  assert.throws(() => thisBinary(() => undefined), /runs from its sources/);
  const io = recording();
  assert.equal(await install(["--what"], io), 2);
  assert.match(io.errors.join("\n"), /--what/);
  await assert.rejects(install(["--root", "/nonexistent"], io), /no directory/);
});

Deno.test("uninstall removes data only when somebody said so", async () => {
  using scratch = new Scratch();
  const data = `${scratch.path}/var/lib/iservft-edge`;
  Deno.mkdirSync(data, { recursive: true });
  Deno.writeTextFileSync(`${data}/pair.json`, "{}");
  const root = ["--root", scratch.path];
  await assert.rejects(
    uninstall(root, recording()),
    (error) => error instanceof RefusedError && /--keep-data/.test(error.hint),
  );
  assert.equal(await uninstall([...root, "--dry-run"], recording()), 0);
  assert.equal(await uninstall([...root, "--keep-data"], recording()), 0);
  assert.ok(Deno.statSync(`${data}/pair.json`).isFile);
  const io = recording();
  assert.equal(await uninstall([...root, "--yes", "--json"], io), 0);
  assert.deepEqual(JSON.parse(io.lines.join("\n")).kept, false);
  assert.throws(() => Deno.statSync(data), Deno.errors.NotFound);
});

Deno.test("a backup is made, shown and restored by command, and says what to do next", async () => {
  using scratch = new Scratch();
  const at = (name: string) => `${scratch.path}/${name}`;
  openDataDirectory(at("data"), "0.1.0")[Symbol.dispose]();
  const { id } = openIdentity(`${at("data")}/identity`);
  Deno.writeTextFileSync(at("serve.toml"), 'node = "left"\n');
  Deno.writeTextFileSync(at("words"), "correct horse battery\n", { mode: 0o600 });
  const words = ["--passphrase-file", at("words")];
  const from = ["--data", at("data"), "--config", at("serve.toml")];
  assert.equal(await backup(["create", at("file"), ...from, ...words], recording()), 0);
  const shown = recording();
  assert.equal(await backup(["show", at("file"), ...words, "--json"], shown), 0);
  assert.deepEqual([JSON.parse(shown.lines.join("\n")).id, JSON.parse(shown.lines.join("\n")).node], [
    id,
    "left",
  ]);
  await assert.rejects(backup(["show", at("file")], recording()), /--passphrase-file/);
  const to = ["--data", at("new"), "--config", at("serve.toml")];
  const restored = recording();
  assert.equal(await backup(["restore", at("file"), ...to, ...words], restored), 0);
  assert.match(restored.lines.join("\n"), /old machine\nnever starts again/);
  assert.equal(openIdentity(`${at("new")}/identity`).id, id);
  await assert.rejects(backup(["restore", at("file"), ...to, ...words], recording()), RefusedError);
});
