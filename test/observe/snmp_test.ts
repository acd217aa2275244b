import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { ROOT } from "../../build/run.ts";
import type { AlertMessage } from "../../lib/observe/alerts/message.ts";
import { send } from "../../lib/observe/alerts/send.ts";
import { message, snmp } from "./alert_kit.ts";

/** What our MIB imports: Debian does not come with the IETF's modules. Macros are built into Net-SNMP. */
const BASE_MODULES = {
  "SNMPv2-SMI": "enterprises OBJECT IDENTIFIER ::= { iso org(3) dod(6) internet(1) private(4) 1 }",
  "SNMPv2-CONF": "",
  "SNMP-FRAMEWORK-MIB": `SnmpAdminString ::= TEXTUAL-CONVENTION DISPLAY-HINT "255t" STATUS current
    DESCRIPTION "Text." SYNTAX OCTET STRING (SIZE (0..255))`,
};

/** Net-SNMP's receiver on loopback, which knows our MIB. */
class TrapReceiver implements AsyncDisposable {
  readonly #directory: string;
  readonly #child: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  #heard = "";

  private constructor(directory: string, child: Deno.ChildProcess) {
    this.#directory = directory;
    this.#child = child;
    this.#lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  static async start(port: number): Promise<TrapReceiver> {
    const directory = await Deno.makeTempDir();
    await Deno.writeTextFile(`${directory}/conf`, "authCommunity log plant\ndisableAuthorization no\n");
    for (const [name, text] of Object.entries(BASE_MODULES)) {
      await Deno.writeTextFile(`${directory}/${name}.txt`, `${name} DEFINITIONS ::= BEGIN\n${text}\nEND\n`);
    }
    await Deno.copyFile(
      `${ROOT}/examples/monitoring/ISERVFT-EDGE-MIB.txt`,
      `${directory}/ISERVFT-EDGE-MIB.txt`,
    );
    const child = new Deno.Command("snmptrapd", {
      args: [
        ...["-f", "-n", "-Lo", "-C", "-c", `${directory}/conf`, "-p", `${directory}/pid`],
        ...["-M", directory, "-m", "ISERVFT-EDGE-MIB"],
        ...["-F", "%W|%v\\n", `udp:127.0.0.1:${port}`],
      ],
      env: { SNMP_PERSISTENT_DIR: directory },
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const made = new TrapReceiver(directory, child);
    await made.until(/NET-SNMP version/);
    return made;
  }

  /** What it wrote so far, when it has this in it. */
  async until(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.#heard)) {
      const { value, done } = await this.#lines.read();
      assert.ok(!done, `snmptrapd ended: ${this.#heard}`);
      this.#heard += value;
    }
    return this.#heard;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#child.status;
    await this.#lines.cancel();
    await Deno.remove(this.#directory, { recursive: true });
  }
}

async function freeUdpPort(): Promise<number> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", () => resolve()));
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  return port;
}

const tell = (port: number, community: string, what: AlertMessage) =>
  send(what, snmp(port, { community }), AbortSignal.timeout(10_000));

Deno.test("SNMP: traps are understood by Net-SNMP with our MIB; another community's are not logged (control)", async () => {
  const port = await freeUdpPort();
  await using receiver = await TrapReceiver.start(port);
  await tell(port, "stranger", message({ text: "from a stranger" }));
  assert.match(await tell(port, "plant", message()), /not acknowledged/);
  await tell(port, "plant", message({ kind: "cleared", text: "x".repeat(5000) }));
  await tell(port, "plant", message({ kind: "test", text: "the last one", node: "press-b" }));
  const heard = await receiver.until(/the last one/);
  assert.doesNotMatch(heard, /stranger/);
  assert.match(heard, /ISERVFT-EDGE-MIB::iservftAlertRaised/);
  assert.match(heard, /ISERVFT-EDGE-MIB::iservftAlertCleared/);
  assert.match(heard, /ISERVFT-EDGE-MIB::iservftTest/);
  assert.match(heard, /iservftSeverity\.0 = INTEGER: critical\(3\)/);
  assert.match(heard, /iservftKey\.0 = STRING: "?vm\/press-1\/failed/);
  assert.match(heard, /iservftNode\.0 = STRING: "?press-b/);
  assert.match(
    heard,
    /iservftText\.0 = STRING: "?\[press-a\] CRITICAL: VM press-1 should run, and does not\. 狀態/,
  );
});
