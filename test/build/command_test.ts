import assert from "node:assert/strict";
import { type Command, runCommand } from "../../lib/cli/command.ts";
import { EdgeError, InputError } from "../../lib/errors.ts";

function table(run: (args: string[]) => Promise<number>): Command[] {
  return [
    { name: "version", summary: "says the version", load: () => Promise.resolve({ run }) },
    { name: "broken", summary: "cannot be loaded", load: () => Promise.reject(new Error("no such module")) },
  ];
}

async function called(args: string[], run: (args: string[]) => Promise<number> = () => Promise.resolve(0)) {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCommand(table(run), {
    args,
    io: { out: (line) => out.push(line), err: (line) => err.push(line) },
  });
  return { code, out: out.join("\n"), err: err.join("\n") };
}

Deno.test("a command gets the arguments after its name, and its result is the exit code", async () => {
  let seen: string[] = [];
  const result = await called(["version", "--json", "a b"], (args) => {
    seen = args;
    return Promise.resolve(3);
  });
  assert.deepEqual(seen, ["--json", "a b"]);
  assert.equal(result.code, 3);
});

Deno.test("--version is the command version", async () => {
  assert.equal((await called(["--version"], () => Promise.resolve(7))).code, 7);
  assert.equal((await called(["-V"], () => Promise.resolve(7))).code, 7);
});

Deno.test("help lists every command on standard output and ends with 0", async () => {
  for (const word of ["help", "--help", "-h"]) {
    const result = await called([word]);
    assert.equal(result.code, 0);
    assert.match(result.out, /version {2}says the version/);
    assert.match(result.out, /broken/);
    assert.equal(result.err, "");
  }
});

Deno.test("an unknown command names the nearest and the help, none gives the usage; both on standard error, and end with 2", async () => {
  const [unknown, none] = [await called(["vrsion"]), await called([])];
  assert.deepEqual([unknown.code, unknown.out, none.code, none.out], [2, "", 2, ""]);
  assert.match(unknown.err, /no command "vrsion"; did you mean version\?\nsee: iservft-edge --help/);
  assert.match(none.err, /usage: iservft-edge COMMAND/);
});

Deno.test("a command that cannot be loaded breaks no other one", async () => {
  assert.equal((await called(["version"])).code, 0);
  const result = await called(["broken"]);
  assert.equal(result.code, 1);
  assert.match(result.err, /no such module/);
});

Deno.test("an error ends the command with the code that it asks for, and says what to do", async () => {
  const failing = (error: Error) => called(["version"], () => Promise.reject(error));
  const failed = await failing(
    new EdgeError("the bridge br9 does not exist", { op: "add a NIC", hint: "Create it." }),
  );
  assert.equal(failed.code, 1);
  assert.match(failed.err, /^error: add a NIC: the bridge br9 does not exist\n.*Create it\./);
  const wrong = await failing(new InputError("vm.toml", [{ key: "memory", line: 3, problem: "is 0" }]));
  assert.equal(wrong.code, 2);
  assert.match(wrong.err, /vm\.toml:3: memory: is 0/);
});
