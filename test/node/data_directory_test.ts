import assert from "node:assert/strict";
import { type Migration, openDataDirectory } from "../../lib/node/data_directory.ts";

async function withDirectory(body: (directory: string) => void | Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await body(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const layout = (directory: string) => JSON.parse(Deno.readTextFileSync(`${directory}/layout.json`));

Deno.test("a new data directory is the owner's alone and has a layout", () =>
  withDirectory((above) => {
    const directory = `${above}/a/b`;
    using _held = openDataDirectory(directory, "1.0.0");
    assert.equal(Deno.statSync(directory).mode! & 0o777, 0o700);
    assert.deepEqual(layout(directory), { layout: 1, program: "1.0.0" });
  }));

Deno.test("a data directory has one process at a time", () =>
  withDirectory((directory) => {
    {
      using _held = openDataDirectory(directory, "1");
      assert.throws(() => openDataDirectory(directory, "1"), /another iservft-edge serve has/);
    }
    using _again = openDataDirectory(directory, "1");
  }));

Deno.test("a directory of something else is refused and left alone", () =>
  withDirectory((directory) => {
    Deno.writeTextFileSync(`${directory}/photo`, "x");
    assert.throws(() => openDataDirectory(directory, "1"), /not empty, and no data directory/);
    assert.throws(() => layout(directory), Deno.errors.NotFound);
  }));

Deno.test("what a newer program wrote is refused with both versions named", () =>
  withDirectory((directory) => {
    Deno.writeTextFileSync(`${directory}/layout.json`, '{"layout":9,"program":"7.0.0"}');
    assert.throws(
      () => openDataDirectory(directory, "1"),
      /newer iservft-edge \(7\.0\.0\): layout 9, this one knows 1/,
    );
  }));

Deno.test("a damaged layout is refused, not overwritten", () =>
  withDirectory((directory) => {
    Deno.writeTextFileSync(`${directory}/layout.json`, '{"lay');
    assert.throws(() => openDataDirectory(directory, "1"), /is damaged/);
    assert.equal(Deno.readTextFileSync(`${directory}/layout.json`), '{"lay');
  }));

Deno.test("layouts are migrated forward, one after the other, and a step that failed is taken again", () =>
  withDirectory((directory) => {
    {
      using _old = openDataDirectory(directory, "1.0.0");
    }
    const steps: string[] = [];
    let broken = true;
    const migrations: Migration[] = [
      () => void steps.push("1 to 2"),
      () => {
        steps.push("2 to 3");
        if (broken) throw new Error("no power");
      },
    ];
    assert.throws(() => openDataDirectory(directory, "3.0.0", migrations), /no power/);
    assert.deepEqual(layout(directory), { layout: 2, program: "3.0.0" });
    broken = false;
    using _new = openDataDirectory(directory, "3.0.0", migrations);
    assert.deepEqual(steps, ["1 to 2", "2 to 3", "2 to 3"]);
    assert.equal(layout(directory).layout, 3);
  }));

Deno.test("sockets that are kept below it, where there is no other place, do not make it another's directory", async () => {
  const directory = await Deno.makeTempDir({ prefix: "data-" });
  try {
    await Deno.mkdir(`${directory}/run`);
    openDataDirectory(directory, "1")[Symbol.dispose]();
    openDataDirectory(directory, "1")[Symbol.dispose]();
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
