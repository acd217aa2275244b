// The engine's disk under stock NBD clients: nbdinfo, nbdcopy, qemu-img, qemu-io.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const FFI = fileURLToPath(new URL("../../ffi", import.meta.url));
const MIB = 1 << 20;
const BYTES = 64 * MIB;

/** How writes reach the image: straight, or in epochs that a timer closes; with `waits` FLUSH waits for the journal. */
type Mode = ["direct"] | ["epochs" | "waits", string];
const MODES: Mode[] = [["direct"], ["epochs", "5"], ["waits", "5"]];

let built: string | undefined;

/** The server program, compiled once for all tests of this file. */
function program(): string {
  if (built) return built;
  const folder = mkdtempSync(join(tmpdir(), "isf_nbdserve_"));
  addEventListener("unload", () => rmSync(folder, { recursive: true }));
  const sources = "src/disk*.c src/nbd*.c src/journal.c src/bitmap.c src/image.c src/base.c src/failpoint.c";
  const flags = "-std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -fvisibility=hidden -pthread -O2";
  const output = join(folder, "nbdserve");
  execFileSync("sh", ["-c", `gcc ${flags} -o '${output}' tools/nbdserve.c ${sources}`], { cwd: FFI });
  return built = output;
}

/** A server in a folder of its own; stopped and removed at the end of the block. */
class Export implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "isf_nbd_"));
  readonly image = join(this.folder, "image.raw");
  readonly socket = join(this.folder, "nbd.sock");
  readonly uri = `nbd+unix:///disk?socket=${this.socket}`;
  #server: Deno.ChildProcess | undefined;

  constructor() {
    closeSync(openSync(this.image, "w"));
    truncateSync(this.image, BYTES);
  }

  async start(mode: Mode): Promise<void> {
    // Not node:child_process: it reports an orderly end after kill() as death by that signal.
    const server = new Deno.Command(program(), {
      args: [this.image, join(this.folder, "state"), this.socket, ...mode],
      stdout: "piped",
    }).spawn();
    this.#server = server;
    const reader = server.stdout.getReader();
    const { value } = await reader.read();
    await reader.cancel();
    assert.match(new TextDecoder().decode(value), /ready/);
  }

  async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    server.kill(signal);
    const { code } = await server.status;
    if (signal === "SIGTERM") assert.equal(code, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGKILL");
    rmSync(this.folder, { recursive: true });
  }
}

function run(program: string, ...args: string[]): string {
  const done = spawnSync(program, args, { encoding: "utf8", timeout: 120_000, maxBuffer: 16 * MIB });
  assert.equal(done.status, 0, `${program} ${args.join(" ")}: ${done.stderr} ${done.stdout}`);
  return done.stdout;
}

/** qemu-io says a failed pattern on stdout and still ends with 0 on some versions. */
function qemuIo(uri: string, ...commands: string[]): void {
  const out = run("qemu-io", "-f", "raw", ...commands.flatMap((c) => ["-c", c]), uri);
  assert.doesNotMatch(out, /failed|error/i);
}

/** A sparse file: data at the start, in the middle and in the last sector, holes between. */
function sparseFile(path: string): void {
  const file = openSync(path, "w");
  writeSync(file, randomBytes(3 * MIB + 512), 0, 3 * MIB + 512, 0);
  writeSync(file, randomBytes(5 * MIB), 0, 5 * MIB, 30 * MIB + 1536);
  writeSync(file, randomBytes(512), 0, 512, BYTES - 512);
  closeSync(file);
}

Deno.test("nbdinfo sees the export, its size, its block sizes and what it can do", async () => {
  await using disk = new Export();
  await disk.start(["direct"]);
  const info = JSON.parse(run("nbdinfo", "--json", disk.uri)).exports[0];
  assert.equal(info["export-size"], BYTES);
  assert.equal(info["block_size_minimum"], 512);
  assert.equal(info["block_size_maximum"], 32 * MIB);
  for (const can of ["can_flush", "can_fua", "can_multi_conn", "can_trim", "can_zero"]) {
    assert.equal(info[can], true, can);
  }
  assert.equal(info["is_read_only"], false);
  assert.match(run("nbdinfo", "--list", disk.uri), /export="disk"/);
});

for (const mode of MODES) {
  Deno.test(`nbdcopy in and out gives the same bytes, and a sparse image stays sparse (${mode.join(" ")})`, async () => {
    await using disk = new Export();
    const source = join(disk.folder, "source.raw");
    const back = join(disk.folder, "back.raw");
    sparseFile(source);
    await disk.start(mode);
    run("nbdcopy", "--flush", source, disk.uri);
    assert.match(run("qemu-img", "compare", "-f", "raw", "-F", "raw", source, disk.uri), /identical/);
    run("nbdcopy", disk.uri, back);
    assert.ok(readFileSync(source).equals(readFileSync(back)));
    await disk.stop();
    assert.ok(readFileSync(source).equals(readFileSync(disk.image)));
    assert.ok(statSync(disk.image).blocks * 512 < 12 * MIB);
  });

  Deno.test(`qemu-io reads the patterns that it wrote, to the sector (${mode.join(" ")})`, async () => {
    await using disk = new Export();
    await disk.start(mode);
    qemuIo(
      disk.uri,
      "write -P 17 0 4M",
      "write -P 18 1536 512",
      "write -P 19 1M 64k",
      "write -z 2M 512k",
      "write -z -u 3M 64k",
      "discard 3200k 128k",
      "write -f -P 20 63M 1M",
      "flush",
      "read -P 17 0 1536",
      "read -P 18 1536 512",
      "read -P 17 2048 1046528",
      "read -P 19 1M 64k",
      "read -P 0 2M 512k",
      "read -P 0 3M 64k",
      "read -P 0 3200k 128k",
      "read -P 17 3328k 768k",
      "read -P 20 63M 1M",
      "read -P 0 5M 58M",
    );
    await disk.stop();
    const image = readFileSync(disk.image);
    assert.deepEqual([image[0], image[1536], image[2048], image[MIB], image[2 * MIB], image[63 * MIB]], [
      17,
      18,
      17,
      19,
      0,
      20,
    ]);
  });
}

Deno.test("what a stock client flushed is there after the server was killed", async () => {
  for (const mode of [["direct"], ["waits", "5"]] satisfies Mode[]) {
    await using disk = new Export();
    await disk.start(mode);
    qemuIo(disk.uri, "write -P 33 8M 2M", "flush");
    await disk.stop("SIGKILL");
    await disk.start(["direct"]);
    qemuIo(disk.uri, "read -P 33 8M 2M");
    await disk.stop();
  }
});

Deno.test("qemu-img cannot open an image that the disk serves", async () => {
  await using disk = new Export();
  await disk.start(["direct"]);
  const other = spawnSync("qemu-io", ["-f", "raw", "-c", "write 0 512", disk.image], { encoding: "utf8" });
  assert.match(other.stderr + other.stdout, /lock/i);
});
