import assert from "node:assert/strict";
import { type QemuImgPlace, runQemuImg } from "../../../lib/node/disks/qemu_img.ts";
import { PLACE, problem, Scratch } from "./kit.ts";

/** A shell where qemu-img would be: as hostile as an image that has taken it over. */
const SHELL: QemuImgPlace = { ...PLACE, binary: "sh" };

function hostile(scratch: Scratch, script: string, options: { cpu_s?: number; place?: QemuImgPlace } = {}) {
  Deno.writeTextFileSync(scratch.at("image"), "image", { mode: 0o600 });
  Deno.writeTextFileSync(scratch.at("disk"), "");
  if (PLACE.jail !== null) Deno.chownSync(scratch.at("disk"), PLACE.jail.uid, PLACE.jail.gid);
  return runQemuImg({
    source: scratch.at("image"),
    target: scratch.at("disk"),
    args: ({ source, target }) => ["-c", script, "sh", source, target],
    cpu_s: options.cpu_s ?? 5,
    write_bytes: 65536,
  }, options.place ?? SHELL);
}

Deno.test("an image that takes over qemu-img sees the image, the new disk and programs, nothing else", async () => {
  using scratch = new Scratch();
  const script = `
    echo "id $(id -u)"; echo "root $(echo /*)"; echo "etc $(echo /etc/*)"; echo "dev $(echo /dev/*)"
    cat "$1" && echo
    for path in /etc/shadow /proc/1/environ ${
    scratch.at("image")
  } /run /root /var/lib; do [ -e "$path" ] && echo "sees $path"; done
    for path in "$1" /usr/x /x /etc/x; do { echo x >"$path"; } 2>/dev/null && echo "writes $path"; done
    echo new >"$2" && echo "writes the disk"
    mount -t tmpfs x /usr 2>/dev/null && echo mounts
    chown 0 "$2" 2>/dev/null && echo "gives away"
    kill -9 -1 2>/dev/null; echo end`;
  const { stdout } = await hostile(scratch, script);
  const lines = stdout.trim().split("\n");
  assert.equal(lines[0], `id ${PLACE.jail?.uid}`);
  assert.ok(
    lines[1]!.split(" ").every((path) =>
      /^(root|\/(bin|dev|disk|etc|image|lib(32|64)?|opt|usr))$/.test(path)
    ),
    lines[1],
  );
  assert.ok(["etc /etc/ld.so.cache", "etc /etc/*"].includes(lines[2]!), lines[2]);
  assert.deepEqual(lines.slice(3), ["dev /dev/null", "image", "writes the disk", "end"]);
  assert.equal(Deno.readTextFileSync(scratch.at("disk")), "new\n");
  // The control: without the jail it sees and writes what its user may.
  const free = await hostile(
    scratch,
    '[ -e /etc/passwd ] && echo "sees it"; echo x >"$1" && echo "writes it"',
    {
      place: { ...SHELL, jail: null },
    },
  );
  assert.deepEqual(free.stdout.trim().split("\n"), ["sees it", "writes it"]);
});

Deno.test("it has no network, and may not use up processor, memory or disk", async () => {
  using scratch = new Scratch();
  const network = await hostile(
    scratch,
    "ip -o addr 2>/dev/null || cat /sys/class/net/*/address 2>/dev/null; echo none",
  );
  assert.equal(network.stdout.trim().split("\n").filter((line) => !/ lo |^none$/.test(line)).join(), "");
  await assert.rejects(
    hostile(scratch, "while :; do :; done", { cpu_s: 1 }),
    problem("invalid", /more than 1 s of processor/),
  );
  const disk = await hostile(
    scratch,
    'trap "" XFSZ; head -c 1000000 /usr/bin/env /usr/bin/* 2>/dev/null >"$2"; wc -c <"$2"',
  );
  assert.ok(Number(disk.stdout) <= 65536, disk.stdout);
  const limits = await hostile(scratch, 'echo "$(ulimit -v) KiB, $(ulimit -n) files, $(ulimit -c) of core"');
  assert.equal(limits.stdout, "1048576 KiB, 64 files, 0 of core\n");
});
