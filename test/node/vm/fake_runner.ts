/** A runner without engine and VM: its control socket, and what the tests tell it to be. Each start is a line in its data directory. */

import { STATUS_BYTES, StatusPage } from "../../../ffi/status.ts";
import { ControlServer } from "../../../lib/group/control_socket.ts";

const args = Deno.args.slice(1);
const value = (flag: string) => args[args.indexOf(flag) + 1] ?? "";
const host = Deno.readTextFileSync(value("--host"));
const place = value("--vm").replace(/\/vm\.toml$/, "");
const runDir = `${/run_dir = "(.*)"/.exec(host)?.[1]}/${place.split("/").at(-1)}`;

Deno.writeTextFileSync(`${place}/starts`, `${args.filter((arg) => /^--(start|no-)/.test(arg)).join(" ")}\n`, {
  append: true,
});
if (Deno.readTextFileSync(value("--vm")).includes("broken")) {
  console.error("error: the VM is broken");
  Deno.exit(1);
}

const over = Promise.withResolvers<number>();
const engine = new StatusPage(new ArrayBuffer(STATUS_BYTES)).read();
let phase = "waiting";
let silent = false;
let auto_protect = !args.includes("--no-protect");
const go = (to: string, more: Record<string, unknown> = {}) => {
  const from = phase;
  phase = to;
  server.broadcast({ event: "state", t_us: 0, from, to, phase: { kind: to, ...more }, sentence: `${to}.` });
};
const status = () => ({
  pid: Deno.pid,
  phase,
  phase_step: "",
  phase_why: "",
  since_us: 0,
  sentence: `${phase}.`,
  term: 1,
  metadata: null,
  peer: null,
  silent,
  arbiter: { name: "lan", state: "none" },
  auto_protect,
  confirmed_off: false,
  commands: { start: null, stop: null, unprotect: null },
  engine,
});
const server = new ControlServer(`${runDir}/runner.sock`, (command, options) => {
  switch (command) {
    case "status":
      return Promise.resolve(status());
    case "start":
      go("solo");
      break;
    case "relink":
      Deno.writeTextFileSync(`${place}/relinks`, `${Deno.readTextFileSync(value("--host"))}\0`, {
        append: true,
      });
      break;
    case "protect":
    case "unprotect":
      auto_protect = command === "protect";
      break;
    case "stop":
      go("stopping", { why: "the operator stopped it" });
      go("stopped", { why: "the operator stopped it" });
      over.resolve(0);
      break;
    case "go":
      silent = options["silent"] === true;
      go(String(options["to"]), options);
      break;
    case "exit":
      over.resolve(Number(options["code"]));
  }
  return Promise.resolve(null);
});
if (args.includes("--start")) go("solo");
Deno.addSignalListener("SIGTERM", () => over.resolve(0));
const code = await over.promise;
await new Promise((resolve) => setTimeout(resolve, 20)); // the last lines go out
await server[Symbol.asyncDispose]();
Deno.exit(code);
