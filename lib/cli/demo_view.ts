/** The demonstration as a person sees it: a few lines that stay in place on a terminal, plain lines elsewhere. */

import type { Failure, Outcome } from "../lab/demonstration.ts";

const CLEAR_LINE = "\x1b[2K";
const up = (lines: number) => (lines > 0 ? `\x1b[${lines}A\r` : "\r");

/** Where the view writes, and whether it may move the cursor there. */
export interface Screen {
  write(text: string): void;
  live: boolean;
  colour: boolean;
}

type Event = Record<string, unknown> & { event: string };

interface Client {
  acknowledged: number;
  p50_ms: number;
  p99_ms: number;
  gap_ms: number;
}

/** What each fault is for a person. */
export const FAILURE_TEXT: Record<Failure, string> = {
  "power-off-primary": "host A loses its power",
  "freeze-primary": "host A freezes, and thaws later",
  "kill-backup": "host B loses its power",
  "cut-link-a": "link A is cut",
  "cut-links": "both replication links are cut",
  none: "nothing fails",
};

/** Follows the events of a demonstration. */
export class DemoView {
  readonly #screen: Screen;
  readonly #sentences = { a: "not started", b: "not started" };
  #step = "";
  #client: Client | undefined;
  #counters = "";
  #sync = "";
  #drawn = 0;

  constructor(screen: Screen) {
    this.#screen = screen;
  }

  /** Takes an event; draws when something that is shown has changed. */
  take(event: Event): void {
    const host = event["host"] === "b" ? "b" : "a";
    switch (event.event) {
      case "step":
        this.#step = String(event["text"]);
        this.#note(this.#step);
        break;
      case "state":
        if (this.#sentences[host] === String(event["sentence"])) return;
        this.#sentences[host] = String(event["sentence"]);
        this.#note(`host ${host.toUpperCase()}: ${this.#sentences[host]}`);
        break;
      case "alarm":
      case "problem":
        this.#note(`host ${host.toUpperCase()}: ${event["text"]}`);
        break;
      case "sync":
        this.#sync = syncText(event);
        break;
      case "counters":
        this.#counters = String(event["text"]);
        break;
      case "client-gap":
        this.#note(`the client waited ${Math.round(Number(event["ms"]))} ms for a reply`);
        break;
      case "progress":
        this.#client = {
          acknowledged: Number(event["acknowledged"]),
          p50_ms: Number(event["p50_us"]) / 1000,
          p99_ms: Number(event["p99_us"]) / 1000,
          gap_ms: Number(event["gap_ms"]),
        };
        break;
      default:
        return;
    }
    if (this.#screen.live) this.#draw();
  }

  /** The verdict, below what was drawn. */
  finish(outcome: Outcome, wrong: readonly string[]): void {
    this.#drawn = 0;
    this.#screen.write(`\n${verdict(outcome, wrong)}\n`);
  }

  /** A thing that happened: a line that stays. */
  #note(text: string): void {
    this.#erase();
    this.#screen.write(`  ${text}\n`);
  }

  #erase(): void {
    if (!this.#screen.live || this.#drawn === 0) return;
    this.#screen.write(
      up(this.#drawn) + Array.from({ length: this.#drawn }, () => `${CLEAR_LINE}\n`).join("") +
        up(this.#drawn),
    );
    this.#drawn = 0;
  }

  #draw(): void {
    const { a, b } = this.#sentences;
    const lines = [
      "",
      `  host A   ${a}`,
      `  host B   ${b}`,
      `  engine   ${this.#counters || this.#sync || "-"}`,
      `  client   ${clientText(this.#client)}`,
      `  now      ${this.#step}`,
    ];
    this.#erase();
    this.#screen.write(lines.map((line) => `${CLEAR_LINE}${line.slice(0, 118)}\n`).join(""));
    this.#drawn = lines.length;
  }
}

function syncText(event: Event): string {
  const mib = (key: string) => Math.round(Number(event[key]) / 1024 / 1024);
  return `syncing: ${mib("bytes_done")} of ${mib("bytes_total")} MiB, round ${event["round"]}, ${
    mib("rate_bytes_s")
  } MiB/s on the line`;
}

function clientText(client: Client | undefined): string {
  if (client === undefined) return "not connected";
  const waiting = client.gap_ms > 50 ? `, waiting for ${Math.round(client.gap_ms)} ms` : "";
  return `${client.acknowledged} counts acknowledged, ${client.p50_ms.toFixed(1)} ms each (p99 ${
    client.p99_ms.toFixed(1)
  })${waiting}`;
}

/** The outcome in words. */
export function verdict(outcome: Outcome, wrong: readonly string[]): string {
  const yes = (good: boolean) => (good ? "yes" : "NO");
  const rows: [string, string][] = [
    ["what failed", FAILURE_TEXT[outcome.failure]],
    ["counts acknowledged to the client", String(outcome.acknowledged)],
    ["of these lost", String(outcome.lost)],
    ["the client's one TCP connection", outcome.connection],
    ["longest wait for a reply", `${outcome.longest_gap_ms} ms`],
    ["silence noticed after", outcome.detection_ms === null ? "-" : `${outcome.detection_ms} ms`],
    [
      "from the decision to the guest's first frame",
      outcome.takeover_ms === null ? "-" : `${outcome.takeover_ms} ms`,
    ],
    ["checkpoints", `${outcome.checkpoints}, ${outcome.checkpoints_per_s} a second under load`],
    ["the VM's pause", `${outcome.pause_ms.p50} ms (p99 ${outcome.pause_ms.p99})`],
    ["request to reply, protected", `${outcome.latency_ms.p50} ms (p99 ${outcome.latency_ms.p99})`],
    [
      "traffic on the replication links",
      `${outcome.link_mbit_s} Mbit/s, ${outcome.bytes_per_dirty_page} bytes per dirty page`,
    ],
    ["backup's memory and devices equal at a commit", yes(outcome.memory_verified)],
    ["backup's disk equal at a commit", yes(outcome.disk_verified)],
    ["guest finds its memory and disk in order", yes(outcome.guest_verified)],
    ["the VM runs on", outcome.runs_on === null ? "no host" : `host ${outcome.runs_on.toUpperCase()}`],
    ["its protection now", outcome.protection],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const table = rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`).join("\n");
  const end = wrong.length === 0
    ? "PASSED: nothing that was acknowledged was lost, and the connection lives."
    : `FAILED: ${wrong.join("; ")}.`;
  return `${table}\n\n${end}`;
}
