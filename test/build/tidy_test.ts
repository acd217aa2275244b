import assert from "node:assert/strict";
import { importsOf, offences, treeFiles } from "../../build/tidy.ts";

function wrong(path: string, text: string): string[] {
  return offences([{ path, text }]);
}

Deno.test("the tree is tidy", async () => {
  assert.deepEqual(offences(await treeFiles()), []);
});

Deno.test("an import against the direction is named with file, line and both parts", () => {
  const text = `/** A VM. */\nimport { step } from "../group/step.ts";\n`;
  assert.deepEqual(wrong("lib/vm/qemu.ts", text), [
    "lib/vm/qemu.ts:2: vm may not import group (lib/group/step.ts)",
  ]);
});

Deno.test("every inner part is refused every outer one, and every outer part may import every inner one", () => {
  const row = ["cli", "node", "group", "replication", "vm"];
  for (const [i, from] of row.entries()) {
    for (const [j, to] of row.entries()) {
      const found = wrong(`lib/${from}/a.ts`, `import { b } from "../${to}/b.ts";\n`);
      assert.equal(found.length, j < i ? 1 : 0, `${from} → ${to}: ${found}`);
    }
    assert.deepEqual(wrong(`lib/${from}/a.ts`, `import { b } from "../../ffi/b.ts";\n`), []);
    assert.equal(wrong("ffi/a.ts", `import { b } from "../lib/${from}/b.ts";\n`).length, 1);
  }
});

Deno.test("imports over several lines, re-exports, dynamic imports and imports for effect are seen", () => {
  for (
    const text of [
      `import {\n  a,\n  b,\n} from "../cli/a.ts";\n`,
      `export * from "../cli/a.ts";\n`,
      `const a = await import("../cli/a.ts");\n`,
      `import "../cli/a.ts";\n`,
      `import type { A } from '../cli/a.ts';\n`,
    ]
  ) assert.equal(wrong("lib/vm/a.ts", text).length, 1, text);
  assert.deepEqual(importsOf(`import { z } from "zod";\n`), []);
});

Deno.test("the UI sees the read model and nothing else of the library", () => {
  assert.equal(wrong("ui/app.ts", `import { x } from "../lib/vm/spec.ts";\n`).length, 1);
  assert.equal(wrong("ui/app.ts", `import { x } from "../lib/group/step.ts";\n`).length, 1);
  assert.deepEqual(wrong("ui/app.ts", `import type { x } from "../lib/model/host.ts";\n`), []);
});

Deno.test("the lab may use the parts that it drives, but no part of the product may use the lab", () => {
  assert.deepEqual(wrong("lib/lab/a.ts", `import { x } from "../vm/spec.ts";\n`), []);
  assert.deepEqual(wrong("lib/lab/a.ts", `import { x } from "../group/control.ts";\n`), []);
  assert.equal(wrong("lib/lab/a.ts", `import { x } from "../node/agent.ts";\n`).length, 1);
  assert.equal(wrong("lib/lab/a.ts", `import { x } from "../cli/command.ts";\n`).length, 1);
  assert.equal(wrong("lib/group/a.ts", `import { x } from "../lab/lab.ts";\n`).length, 1);
  assert.deepEqual(wrong("lib/cli/lab.ts", `import { x } from "../lab/lab.ts";\n`), []);
});

Deno.test("nothing imports the build, the tests or the entry, and a leaf imports no part", () => {
  for (const target of ["../../build/run.ts", "../../test/kit.ts", "../../main.ts"]) {
    assert.equal(wrong("lib/cli/a.ts", `import { x } from "${target}";\n`).length, 1, target);
  }
  assert.equal(wrong("lib/errors.ts", `import { x } from "./vm/spec.ts";\n`).length, 1);
});

Deno.test("a file at its limit passes and one line more does not", () => {
  for (const [path, limit] of [["lib/vm/a.ts", 400], ["ffi/src/a.c", 500]] as const) {
    assert.deepEqual(wrong(path, "\n".repeat(limit)), []);
    assert.deepEqual(wrong(path, "\n".repeat(limit + 1)), [
      `${path}: ${limit + 1} lines, more than ${limit}: split it by concept`,
    ]);
  }
});

Deno.test("a registry's host, a machine's path and unfinished work are refused in any text file", () => {
  const bad = [
    ["https://registry.", "npm", "js.org/zod"],
    ["http://deb.", "deb", "ian.org/debian"],
    ["/ho", "me/somebody/src"],
    ["/wo", "rk/main"],
    ["// TO", "DO: later"],
    ["# FIX", "ME"],
  ].map((pieces) => pieces.join(""));
  for (const text of bad) assert.equal(wrong("docs/a.md", `fine\n${text}\n`).length, 1, text);
  assert.match(
    wrong("docs/a.md", `fine\n${bad[0]}\n`)[0]!,
    /^docs\/a\.md:2: names a package registry's host$/,
  );
  assert.deepEqual(wrong("docs/a.md", "Packages come from npm and from Debian, into $HOME/.cache.\n"), []);
});
