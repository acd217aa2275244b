/** What people are sent, and its words in the forms that channels need. Names and reasons came from outside: nothing in them is read as
 * anything but text. */

import type { Params } from "../../model/sentence.ts";

/** One message, the same for each channel. */
export interface AlertMessage {
  /** The same in each attempt, so that a receiver may drop what came twice. */
  id: string;
  /** "event": it happened once, and has no end. */
  kind: "raised" | "repeated" | "cleared" | "event" | "test";
  at: string;
  /** The node that sends it. */
  node: string;
  key: string;
  severity: "ok" | "info" | "warning" | "critical";
  code: string;
  params: Params;
  text: string;
  since: string;
}

const CONTROLS = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]+/gu;

/** Text in one line: whatever could begin another one, or turn what is seen around, is a space. */
export function oneLine(text: string, chars = 500): string {
  const line = text.replace(CONTROLS, " ").trim();
  return line.length <= chars ? line : `${line.slice(0, chars - 1)}…`;
}

/** Text of at most so many bytes, cut between characters. */
export function bytesOf(text: string, most: number): Uint8Array {
  const room = new Uint8Array(most);
  const { written } = new TextEncoder().encodeInto(text, room);
  return room.subarray(0, written);
}

const WORDS: Record<AlertMessage["kind"], (severity: string) => string> = {
  raised: (severity) => severity.toUpperCase(),
  repeated: (severity) => `STILL ${severity.toUpperCase()}`,
  cleared: () => "OVER",
  event: (severity) => severity.toUpperCase(),
  test: () => "TEST",
};

/** The one line. */
export function headline(message: AlertMessage): string {
  return oneLine(`[${message.node}] ${WORDS[message.kind](message.severity)}: ${message.text}`);
}

/** A few lines for a person. */
export function letter(message: AlertMessage): string {
  const facts = [
    headline(message),
    "",
    `Node:     ${oneLine(message.node)}`,
    `Since:    ${oneLine(message.since)}`,
    `Sent:     ${oneLine(message.at)}`,
    `About:    ${oneLine(message.key)}`,
    `Code:     ${oneLine(message.code)}`,
    "",
    message.kind === "cleared" ? "It is over." : "Open the page of either node to see what to do.",
  ];
  return `${facts.join("\n")}\n`;
}
