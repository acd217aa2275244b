/** What a person types as the other node's address. */

import { ProblemError } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";
import { PEER_PORT } from "../peer/messages.ts";

/** Reads HOST or HOST:PORT. Throws ProblemError. */
export function readAddress(text: string): { host: string; port: number } {
  const [, host, port] = /^([A-Za-z0-9.-]{1,253})(?::(\d{1,5}))?$/.exec(text.trim()) ?? [];
  const number = port === undefined ? PEER_PORT : Number(port);
  if (host !== undefined && number > 0 && number < 65536) return { host, port: number };
  const problem = "it is no address; type the other node's IP address or name, such as 192.168.1.12";
  throw new ProblemError("invalid", {
    ...explained("pair.address", { text: JSON.stringify(text.slice(0, 80)) }),
    fields: [{ key: "address", problem }],
  });
}
