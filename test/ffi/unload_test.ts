/** Closing the library must not leave threads behind that end in code that is gone. */

import assert from "node:assert/strict";
import { assets } from "../../lib/cli/assets.ts";

Deno.test("the library stays mapped after it was closed: threads that used it still end in it", async () => {
  const { library } = assets();
  const program = `
    const library = Deno.dlopen(${JSON.stringify(library)}, { isf_abi: { parameters: [], result: "i32" } });
    library.close();
    console.log(Deno.readTextFileSync("/proc/self/maps").includes("libiservft.so"));
  `;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", program],
    stdout: "piped",
    stderr: "null",
  });
  const { code, stdout } = await child.output();
  assert.equal(code, 0);
  assert.equal(new TextDecoder().decode(stdout).trim(), "true");
});
