import assert from "node:assert/strict";
import { fixedMachine, listedMachines, MachineTypeFile, resolveMachine } from "../../lib/vm/machine_type.ts";

const HELP = `Supported machines are:
microvm              microvm (i386)
pc                   Standard PC (i440FX + PIIX, 1996) (alias of pc-i440fx-12.0)
pc-i440fx-12.0       Standard PC (i440FX + PIIX, 1996) (default)
q35                  Standard PC (Q35 + ICH9, 2009) (alias of pc-q35-12.0)
pc-q35-12.0          Standard PC (Q35 + ICH9, 2009)
pc-q35-10.1          Standard PC (Q35 + ICH9, 2009)
pc-q35-9.2           Standard PC (Q35 + ICH9, 2009) (deprecated)
none                 empty machine
`;
const LATER = listedMachines(HELP);
const known = (remembered?: string) => ({ remembered, known: ["pc-q35-7.2", "pc-i440fx-7.2"] });

Deno.test("an alias becomes a versioned machine type, the same with each QEMU that knows it", () => {
  assert.equal(resolveMachine("q35", known()), "pc-q35-7.2");
  assert.equal(resolveMachine("pc", known()), "pc-i440fx-7.2");
  assert.equal(resolveMachine("q35", { remembered: undefined, known: [] }), "pc-q35-7.2");
});

Deno.test("a VM keeps the machine type that it began with, whatever a new one would get", () => {
  assert.equal(resolveMachine("q35", known("pc-q35-6.2")), "pc-q35-6.2");
  // Unless its file says another machine by now, or a version itself.
  assert.equal(resolveMachine("pc", known("pc-q35-6.2")), "pc-i440fx-7.2");
  assert.equal(resolveMachine("pc-q35-8.0", known("pc-q35-6.2")), "pc-q35-8.0");
});

Deno.test("a QEMU that has dropped the usual type gives a new VM the oldest that it knows", () => {
  assert.deepEqual(LATER, ["pc-i440fx-12.0", "pc-q35-12.0", "pc-q35-10.1", "pc-q35-9.2"]);
  assert.equal(resolveMachine("q35", { remembered: undefined, known: LATER }), "pc-q35-9.2");
  assert.equal(resolveMachine("pc", { remembered: undefined, known: LATER }), "pc-i440fx-12.0");
});

Deno.test("what the file leaves open is not fixed", () => {
  assert.deepEqual(["q35", "pc", "pc-q35-7.1"].map(fixedMachine), [undefined, undefined, "pc-q35-7.1"]);
});

Deno.test("the machine type is remembered on disk; a file that holds something else is not guessed at", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const path = `${directory}/machine-type`;
    const file = new MachineTypeFile(path);
    assert.equal(file.read(), undefined);
    await file.write("pc-q35-7.2");
    await file.write("pc-q35-9.2");
    assert.equal(new MachineTypeFile(path).read(), "pc-q35-9.2");
    assert.deepEqual([...Deno.readDirSync(directory)].map(({ name }) => name), ["machine-type"]);
    await Deno.writeTextFile(path, "q35\n");
    assert.throws(() => file.read(), /holds no machine type: "q35"/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
