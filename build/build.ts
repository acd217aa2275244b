/** `deno task build`: dist/iservft-edge, the whole program as one file, and the proof that it runs from anywhere.
 *
 * `deno compile` is used where a denort is at hand: DENORT_BIN, or one in Deno's cache. Else our packer. */

import { EdgeError, errorText } from "../lib/errors.ts";
import { buildNative, NATIVE } from "./native.ts";
import { bundle, pack, type PackedFile, WORKERS } from "./pack.ts";
import { BuildError, CACHE, exists, filesIn, ROOT, run } from "./run.ts";
import { writeSbom } from "./sbom.ts";
import { buildUi, UI_FILES } from "./ui.ts";

const OUTPUT = `${ROOT}/dist/iservft-edge`;
const TARGET_MB = 45;

/** Files other than code that the program needs, named as lib/cli/assets.ts finds them. Those not yet written are left out. */
function assetFiles(): PackedFile[] {
  const files: PackedFile[] = [
    { from: NATIVE.library, path: "libiservft.so", mode: 0o500 },
    { from: NATIVE.shim, path: "libiservft-shim.so", mode: 0o500 },
    { from: NATIVE.guestInit, path: "guest-init", mode: 0o500 },
    ...filesIn(UI_FILES, "").map((from): PackedFile => ({
      from,
      path: `ui/${from.slice(UI_FILES.length + 1)}`,
      mode: 0o400,
    })),
  ];
  return files.filter((file) => exists(file.from));
}

/** Deno's cache of downloaded runtimes has a denort for this version. */
async function denortAtHand(): Promise<boolean> {
  if (Deno.env.get("DENORT_BIN")) return true;
  const info = JSON.parse(await run([Deno.execPath(), "info", "--json"]));
  const target = `denort-${Deno.build.target}.zip`;
  return exists(`${info.denoDir}/dl/release/v${Deno.version.deno}/${target}`);
}

/** Tries `deno compile`. Returns whether what it made works. */
async function compile(): Promise<boolean> {
  const assets = `${ROOT}/dist/assets`;
  await Deno.mkdir(`${assets}/ui`, { recursive: true });
  for (const file of assetFiles()) await Deno.copyFile(file.from, `${assets}/${file.path}`);
  try {
    await run([
      ...[
        Deno.execPath(),
        "compile",
        "--quiet",
        "--allow-all",
        "--no-prompt",
        "--unstable-net",
        "--unstable-no-legacy-abort",
        "--self-extracting",
      ],
      ...WORKERS.flatMap((worker) => ["--include", `${ROOT}/${worker}`]),
      ...["--include", assets, "--output", `${OUTPUT}.compiled`, `${ROOT}/main.ts`],
    ], { cwd: ROOT });
    await prove(`${OUTPUT}.compiled`, "deno compile");
    await Deno.rename(`${OUTPUT}.compiled`, OUTPUT);
    return true;
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(
      `build: deno compile was of no use, so the packer is used: ${error.message.split("\n")[0]}`,
    );
    return false;
  } finally {
    await Deno.remove(assets, { recursive: true });
  }
}

async function packed(): Promise<void> {
  const code = await bundle(`${CACHE}/pack/app`);
  const deno: PackedFile = { from: Deno.execPath(), path: "deno", mode: 0o500 };
  await pack([deno, ...code, ...assetFiles()], OUTPUT);
  await prove(OUTPUT, "packed");
}

/** Runs the program with no environment from an empty directory; says how long that takes the first time and later. */
async function prove(program: string, mode: string): Promise<void> {
  const empty = await Deno.makeTempDir();
  const cache = await Deno.makeTempDir();
  const start = async (env: Record<string, string>) => {
    const began = performance.now();
    const said = (await run([program, "--version"], { cwd: empty, clearEnv: true, env })).trim();
    const expected = exists(NATIVE.library) ? `(${mode}; engine: ABI ` : `(${mode}; engine: not loadable`;
    if (!said.includes(expected)) {
      throw new BuildError(
        `the program that was built says ${JSON.stringify(said)}, without ${JSON.stringify(expected)}`,
        {
          op: "run the built program",
          hint: "Run dist/iservft-edge version by hand.",
        },
      );
    }
    return { said, ms: Math.round(performance.now() - began) };
  };
  try {
    const cold = await start({ XDG_CACHE_HOME: cache });
    await start({});
    const warm: number[] = [];
    for (let i = 0; i < 5; i++) warm.push((await start({})).ms);
    const left = [...Deno.readDirSync(empty)].map((entry) => entry.name);
    if (left.length > 0) {
      throw new BuildError(`the program left ${left.join(", ")} in the directory where it was started`, {
        op: "run the built program",
        hint: "Write to the cache or the data directory instead.",
      });
    }
    console.error(`build: ${cold.said}`);
    console.error(`build: first start ${cold.ms} ms, later ${warm.sort((a, b) => a - b)[2]} ms`);
  } finally {
    await Deno.remove(empty, { recursive: true });
    await Deno.remove(cache, { recursive: true });
  }
}

async function build(): Promise<void> {
  await buildNative((line) => console.error(line));
  await buildUi((line) => console.error(line));
  const compiled = await denortAtHand() && await compile();
  if (!compiled) await packed();
  await writeSbom();
  const mb = (await Deno.stat(OUTPUT)).size / 1e6;
  const verdict = mb <= TARGET_MB
    ? `within the ${TARGET_MB} MB aimed at`
    : `more than the ${TARGET_MB} MB aimed at`;
  console.error(`build: dist/iservft-edge has ${mb.toFixed(1)} MB, ${verdict}`);
}

if (import.meta.main) {
  try {
    await build();
  } catch (error) {
    if (!(error instanceof EdgeError)) throw error;
    console.error(`error: ${errorText(error)}`);
    Deno.exit(error.exitCode);
  }
}
