/** `iservft-edge job`: what takes a while. */

import { object } from "@optique/core/constructs";
import { argument } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { z } from "zod";
import { jobView } from "../model/vm.ts";
import { jobEnd } from "./follow.ts";
import { type Noun, runNoun, verb } from "./noun.ts";
import { progressText } from "./terminal.ts";
import { plain, table } from "./text.ts";

/** What is ended and was never counted needs no word. */
function progressOf(job: z.infer<typeof jobView>): string {
  return job.state !== "running" && job.total <= 0 ? "" : progressText(job).trim();
}

const id = argument(string({ metavar: "ID" }));

export const noun: Noun = {
  name: "job",
  brief: "imports and other work that takes a while",
  verbs: [
    verb({
      name: "list",
      brief: "What is on its way, and what has just ended.",
      takes: object({}),
      async run(_, cli) {
        const jobs = await (await cli.client()).ask("GET", "/jobs", { schema: z.array(jobView) });
        const rows = jobs.map((job) => [
          job.id,
          job.kind,
          plain(job.subject),
          job.state,
          job.error === null ? progressOf(job) : plain(`${job.error.detail} (${job.error.hint})`),
        ]);
        cli.answer(
          jobs,
          () => rows.length === 0 ? ["none"] : table([["ID", "KIND", "OF", "STATE", ""], ...rows]),
        );
      },
    }),
    verb({
      name: "wait",
      brief: "Waits for one, with progress.",
      takes: object({ id }),
      async run({ id }, cli) {
        const client = await cli.client();
        const job = await client.ask("GET", `/jobs/${encodeURIComponent(id)}`, { schema: jobView });
        const ended = job.state === "running" ? await jobEnd(cli, job) : job;
        cli.answer(ended, () => [`${ended.kind} ${plain(ended.subject)}: ${ended.state}`]);
        return ended.state === "done" ? 0 : 1;
      },
    }),
    verb({
      name: "cancel",
      brief: "Stops one.",
      takes: object({ id }),
      async run({ id }, cli) {
        await (await cli.client()).tell("POST", `/jobs/${encodeURIComponent(id)}/cancel`);
        cli.answer({ id, cancelled: true }, () => [`${plain(id)} is told to stop`]);
      },
    }),
  ],
};

export const run = runNoun(noun);
