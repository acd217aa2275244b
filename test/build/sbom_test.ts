import assert from "node:assert/strict";
import {
  closure,
  type Component,
  importedNames,
  type Lock,
  parseKey,
  readLock,
  sbom,
} from "../../build/sbom.ts";
import { filesIn, ROOT, run } from "../../build/run.ts";

/** What Deno itself finds when it follows the program's imports, and those of the page's scripts. */
async function loaded(): Promise<Set<string>> {
  const found = new Set<string>();
  for (const root of [`${ROOT}/main.ts`, ...filesIn(`${ROOT}/ui/client`, ".ts")]) {
    const info = JSON.parse(await run([Deno.execPath(), "info", "--json", root], { cwd: ROOT }));
    for (const { npmPackage } of info.modules) if (npmPackage !== undefined) found.add(npmPackage);
  }
  return found;
}

Deno.test("every npm package of deno.lock that the program loads is listed as a part of it, with its hash", async () => {
  const components = (await sbom()).components as Component[];
  const required = new Map(
    components.filter(({ scope }) => scope === "required").map((one) => [one["bom-ref"], one]),
  );
  const packages = [...await loaded()].map(parseKey);
  assert.ok(packages.length >= 10, String(packages.length));
  for (const { name, version } of packages) {
    const part = required.get(`pkg:npm/${name.replace("@", "%40")}@${version}`);
    assert.notEqual(part, undefined, `${name}@${version}`);
    assert.match(part!.hashes![0]!.content, /^[0-9a-f]{128}$/);
  }
});

Deno.test("all of deno.lock is listed, what only tests use as not shipped, and Deno and the libraries of the engine too", async () => {
  const list = await sbom();
  const components = list.components as Component[];
  const of = (name: string) => components.find((one) => one.name === name);
  const lock = await readLock();
  assert.equal(
    components.filter(({ purl }) => purl?.startsWith("pkg:npm/")).length,
    Object.keys(lock.npm).length,
  );
  for (const name of ["playwright-core", "axe-core", "smtp-server"]) {
    assert.equal(of(name)?.scope, "excluded", name);
  }
  assert.equal(of("deno")?.version, Deno.version.deno);
  assert.match(of("openssl")!.version, /^\d/);
  assert.deepEqual([list.bomFormat, list.specVersion], ["CycloneDX", "1.6"]);
  assert.equal(new Set(components.map((one) => one["bom-ref"])).size, components.length);
  assert.deepEqual(await sbom(), list); // the same each time
});

Deno.test("what a package needs comes with it, however deep; what nothing needs does not", () => {
  const lock: Lock = {
    version: "5",
    specifiers: { "npm:a@1.0.0": "1.0.0", "npm:@x/b@2.0.0": "2.0.0_a@1.0.0", "npm:d@4.0.0": "4.0.0" },
    npm: {
      "a@1.0.0": { integrity: "sha512-AA==", dependencies: ["c@3.0.0"] },
      "@x/b@2.0.0_a@1.0.0": { integrity: "sha512-AA==", dependencies: ["a"] },
      "c@3.0.0": { integrity: "sha512-AA==", optionalDependencies: ["e"] },
      "c@9.0.0": { integrity: "sha512-AA==" },
      "d@4.0.0": { integrity: "sha512-AA==" },
      "e@5.0.0": { integrity: "sha512-AA==", dependencies: ["c@3.0.0"] },
    },
  };
  const imports = importedNames(
    ['import { x } from "@x/b/deep";', 'export * from "unknown"; const d = "d";'],
    ["a", "@x/b", "d"],
  );
  assert.deepEqual([...imports], ["@x/b"]);
  assert.deepEqual([...closure(lock, imports)], ["@x/b@2.0.0_a@1.0.0", "a@1.0.0", "c@3.0.0", "e@5.0.0"]);
});
