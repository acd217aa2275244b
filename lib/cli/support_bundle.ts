/** `iservft-edge support-bundle`: everything that helps to find a fault, in one file. */

import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { argument } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { type Noun, runNoun, verb } from "./noun.ts";
import { UsageError } from "./terminal.ts";
import { bytesText } from "./text.ts";

/** Far above any bundle. */
const MOST = 4 * 1024 ** 3;

async function save(stream: ReadableStream<Uint8Array>, file: string): Promise<number> {
  let out: Deno.FsFile;
  try {
    out = await Deno.open(file, { write: true, createNew: true, mode: 0o600 });
  } catch (error) {
    await stream.cancel();
    const why = error instanceof Deno.errors.AlreadyExists ? "it is there already" : String(error);
    throw new UsageError(`${file} cannot be made: ${why}`, "Name another file.");
  }
  let size = 0;
  try {
    const counted = stream.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          size += chunk.length;
          if (size > MOST) throw new Error(`more than ${bytesText(MOST)}`);
          controller.enqueue(chunk);
        },
      }),
    );
    await counted.pipeTo(out.writable);
  } catch (error) {
    // Half a bundle would be taken for a whole one.
    await Deno.remove(file).catch(() => {});
    throw error;
  }
  return size;
}

export const noun: Noun = {
  name: "support-bundle",
  brief: "logs, settings, events and state in one file, without secrets",
  verbs: [verb({
    name: "",
    brief: "Writes a tar.gz, readable by you alone, with secrets left out.",
    takes: object({
      file: argument(string({ metavar: "FILE" }), { description: message`must not be there yet` }),
    }),
    async run({ file }, cli) {
      const stream = await (await cli.client()).bytes("POST", "/support-bundle");
      const bytes = await save(stream, file);
      cli.answer({ file, bytes }, () => [`${file}: ${bytesText(bytes)}`]);
    },
  })],
};

export const run = runNoun(noun);
