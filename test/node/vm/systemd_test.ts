import assert from "node:assert/strict";
import { LOCKED, lockHolder, readPidFile, SystemdLauncher } from "../../../lib/node/vm/launcher.ts";

/** A systemd that starts what it is told to in a session of its own, and knows its process. */
const SYSTEMD_RUN = `#!/bin/sh
echo "$@" >> "$(dirname "$0")/asked"
while [ "\${1#--}" != "$1" ]; do shift; done
setsid "$@" >/dev/null 2>&1 </dev/null &
echo $! > "$(dirname "$0")/pid"
`;
const SYSTEMCTL = `#!/bin/sh\ncat "$(dirname "$0")/pid"\n`;

Deno.test("a unit's runner is known by its process, outlives the launcher, and holds its lock against a second one", async () => {
  const directory = await Deno.makeTempDir();
  for (const [name, text] of [["systemd-run", SYSTEMD_RUN], ["systemctl", SYSTEMCTL]] as const) {
    await Deno.writeTextFile(`${directory}/${name}`, text, { mode: 0o755 });
  }
  const path = Deno.env.get("PATH") ?? "";
  Deno.env.set("PATH", `${directory}:${path}`);
  try {
    const launch = {
      vm: "vm",
      words: ["sleep", "60"],
      log: "",
      lock: `${directory}/runner.lock`,
      pidFile: `${directory}/runner.pid`,
    };
    const runner = await new SystemdLauncher().start(launch);
    assert.equal(runner.alive, true);
    assert.deepEqual(readPidFile(launch.pidFile), runner.id);
    const asked = Deno.readTextFileSync(`${directory}/asked`);
    assert.match(asked, /--unit=iservft-edge-vm-vm .*--property=KillMode=mixed/);
    while (lockHolder(launch.lock) === null) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual(lockHolder(launch.lock), runner.id);
    const second = await new Deno.Command("flock", {
      args: ["--no-fork", "-n", "-E", `${LOCKED}`, launch.lock, "true"],
    }).output();
    assert.equal(second.code, LOCKED);
    runner.signal("SIGKILL");
    assert.equal(await runner.ended, null);
    assert.equal(runner.alive, false);
    assert.equal(readPidFile(launch.pidFile), null, "another process with its number is another one");
  } finally {
    Deno.env.set("PATH", path);
    await Deno.remove(directory, { recursive: true });
  }
});
