/** Waiting for what a node does, with its progress: each change is pushed, nothing is asked again and again. */

import type { z } from "zod";
import { setTimeout as pause } from "node:timers/promises";
import { EdgeError } from "../errors.ts";
import { english } from "../model/english.ts";
import { snapshotView } from "../model/snapshot.ts";
import type { JobView, VmView } from "../model/vm.ts";
import type { Cli } from "./noun.ts";
import { ProgressBar } from "./terminal.ts";

/** Between a stream's end and the next one. */
export const AGAIN_MS = 500;

type SnapshotView = z.infer<typeof snapshotView>;

/** Calls `look` with each snapshot until it returns something other than undefined. */
export async function until<T>(cli: Cli, look: (snapshot: SnapshotView) => T | undefined): Promise<T> {
  const client = await cli.client();
  // A stream ends after a while so that its reader is asked who it is again: then another one goes on.
  for (;;) {
    const stop = new AbortController();
    try {
      for await (const record of client.records("/stream", { signal: stop.signal })) {
        if (record.event !== "snapshot") continue;
        const read = snapshotView.safeParse((record.data as { snapshot?: unknown }).snapshot);
        if (!read.success) {
          throw new EdgeError("The node's answer does not fit", {
            op: "follow the node",
            hint: "Use the program of the node's own version: iservft-edge version.",
          });
        }
        const found = look(read.data);
        if (found !== undefined) return found;
      }
    } finally {
      stop.abort();
    }
    await pause(AGAIN_MS);
  }
}

/** Waits for a job's end. Throws what went wrong. */
export async function jobEnd(cli: Cli, job: JobView): Promise<JobView> {
  const bar = new ProgressBar(cli.io, `${job.kind} ${job.subject}`);
  try {
    const ended = await until(cli, (snapshot) => {
      const now = snapshot.jobs.find(({ id }) => id === job.id);
      if (now === undefined) {
        return {
          ...job,
          state: "failed" as const,
          error: { detail: "The node forgot the job", hint: "Look at its events." },
        };
      }
      bar.show(now);
      return now.state === "running" ? undefined : now;
    });
    if (ended.state === "done") return ended;
    throw new EdgeError(ended.error?.detail ?? `It was ${ended.state}`, {
      op: `${job.kind} ${job.subject}`,
      hint: ended.error?.hint ?? "",
    });
  } finally {
    bar.end();
  }
}

/** Waits until a VM is protected. Throws when it stops or fails meanwhile. */
export async function protectedEnd(cli: Cli, name: string): Promise<VmView> {
  const bar = new ProgressBar(cli.io, `sync ${name}`);
  try {
    return await until(cli, (snapshot) => {
      const vm = snapshot.vms.find((vm) => vm.name === name);
      if (vm === undefined || ["stopped", "failed", "diverged"].includes(vm.state)) {
        throw new EdgeError(vm === undefined ? `${name} is gone` : `${name}: ${english(vm.verdict.said)}`, {
          op: `wait for ${name}`,
          hint: `Look at it: iservft-edge vm show ${name}, iservft-edge vm logs ${name}.`,
        });
      }
      if (vm.sync !== null) {
        bar.show({
          done: vm.sync.done_bytes,
          total: vm.sync.total_bytes,
          unit: "bytes",
          rate_per_s: vm.sync.rate_bytes_per_s,
          eta_s: vm.sync.eta_s,
        });
      }
      return vm.state === "protected" ? vm : undefined;
    });
  } finally {
    bar.end();
  }
}
