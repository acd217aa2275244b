import assert from "node:assert/strict";
import { brokenPromises, checkLibrary, type LibraryFacts } from "../../build/check_native.ts";
import { compareVersions, oldVersions, servedSymbols } from "../../build/glibc.ts";
import { linkLibrary } from "../../build/native.ts";
import { run } from "../../build/run.ts";

/** Needs what newer headers bind to newer glibc than 2.27 where they can: fstat and fcntl64, threads, dlsym. */
const SOURCE = `#define _FILE_OFFSET_BITS 64
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
static void *body(void *context) { *(int *)context += 1; return context; }
__attribute__((visibility("default"))) int isf_probe(void)
{
    struct stat stat;
    pthread_t thread;
    int count = 40;
    if (fstat(0, &stat) || fcntl(0, F_GETFD) < 0 || dlsym(RTLD_DEFAULT, "malloc") == 0)
        return -1;
    if (pthread_create(&thread, 0, body, &count) || pthread_join(thread, 0))
        return -2;
    return count + 1;
}
int not_for_others(void) { return isf_probe(); }
`;

async function compiled(directory: string): Promise<string> {
  await Deno.writeTextFile(`${directory}/probe.c`, SOURCE);
  const object = `${directory}/probe.o`;
  await run(["gcc", "-D_GNU_SOURCE", "-O1", "-fPIC", "-c", `${directory}/probe.c`, "-o", object]);
  return object;
}

Deno.test("a library linked by the build needs only old glibc, exports only its own, and works in Deno", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const library = `${directory}/libprobe.so`;
    await linkLibrary(library, { objects: [await compiled(directory)], libraries: [], exported: "isf_" });
    await checkLibrary(library, { exported: "isf_" });
    const opened = Deno.dlopen(library, { isf_probe: { parameters: [], result: "i32" } });
    assert.equal(opened.symbols.isf_probe(), 42);
    opened.close();
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("the same library linked the ordinary way is refused", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const library = `${directory}/libprobe.so`;
    await run(["gcc", "-shared", await compiled(directory), "-o", library]);
    await assert.rejects(checkLibrary(library, { exported: "isf_" }), /it exports not_for_others/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("each promise that a library breaks is named", () => {
  const good: LibraryFacts = {
    needs: ["libc.so.6", "libpthread.so.0"],
    glibcVersions: ["2.2.5", "2.27"],
    strange: [],
    exports: ["isf_abi"],
    hasTextRelocations: false,
    hasExecutableStack: false,
  };
  const broken = (change: Partial<LibraryFacts>) =>
    brokenPromises({ ...good, ...change }, { exported: "isf_" });
  assert.deepEqual(broken({}), []);
  assert.deepEqual(broken({ glibcVersions: ["2.28"] }), ["it needs glibc 2.28, newer than 2.27"]);
  assert.deepEqual(broken({ needs: ["libcrypto.so.3"] }), ["it needs libcrypto.so.3, which is not glibc's"]);
  assert.deepEqual(broken({ strange: ["OPENSSL_3.0.0"] }), [
    "it needs OPENSSL_3.0.0, which no version of glibc stands for",
  ]);
  assert.deepEqual(broken({ exports: ["isf_abi", "LZ4_compress"] }), ["it exports LZ4_compress"]);
  assert.deepEqual(broken({ exports: [] }), ["it exports nothing, not even isf_*"]);
  assert.equal(broken({ hasTextRelocations: true, hasExecutableStack: true }).length, 2);
  assert.deepEqual(brokenPromises(good, { exported: "" }), ["it exports isf_abi"]);
});

Deno.test("a symbol is bound to its newest version within the limit", () => {
  const served = servedSymbols(`
    10: 0000000000088000   100 FUNC    GLOBAL DEFAULT   16 pthread_cond_wait@@GLIBC_2.3.2
    11: 0000000000086000   100 FUNC    GLOBAL DEFAULT   16 pthread_cond_wait@GLIBC_2.2.5
    12: 0000000000089000   100 FUNC    GLOBAL DEFAULT   16 pthread_create@GLIBC_2.2.5
    13: 0000000000089000   100 FUNC    GLOBAL DEFAULT   16 pthread_create@@GLIBC_2.34
    14: 00000000001d4840     8 OBJECT  GLOBAL DEFAULT   33 stderr@@GLIBC_2.2.5
    15: 00000000000f7800    52 FUNC    WEAK   DEFAULT   16 fstat@@GLIBC_2.33
    16: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND free@GLIBC_2.2.5 (2)`);
  const chosen = oldVersions(["pthread_cond_wait", "pthread_create", "stderr"], served);
  assert.deepEqual(chosen.map((symbol) => [symbol.version, symbol.isObject]), [
    ["2.3.2", false],
    ["2.2.5", false],
    ["2.2.5", true],
  ]);
  assert.throws(() => oldVersions(["fstat"], served), /glibc 2\.27 has no fstat/);
  assert.throws(() => oldVersions(["free", "disk_open"], served), /nothing defines free, disk_open/);
});

Deno.test("versions are compared as numbers", () => {
  assert.ok(compareVersions("2.4", "2.27") < 0);
  assert.ok(compareVersions("2.2.5", "2.2") > 0);
  assert.equal(compareVersions("2.27", "2.27"), 0);
});
