/** A new key and certificate for this node. The other node is told over the channel that the old ones protect, and shown that this node has the
 * new key; from then on it accepts both, until it has met this node with the new ones. A crash at any moment leaves this node with the old or
 * the new ones whole, and the other one accepting them:
 *
 *   made in identity/next → told → accepted (stored there) → identity/next takes the place of the old one → met with it → the old one is dropped
 */

import { createPrivateKey, sign, verify, X509Certificate } from "node:crypto";
import { Buffer } from "node:buffer";
import { z } from "zod";
import { moveFile, removeFile } from "../../durable_file.ts";
import { ProblemError } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";
import { nodeIdOf } from "../../node_id.ts";
import type { PeerChannel } from "../contracts.ts";
import { unreachable } from "../peer/calls.ts";
import { type Identity, IDENTITY_FILE, openIdentity, readIdentity } from "../identity.ts";

const METHOD = "pair.rotate";
const offerSchema = z.object({ certificate: z.string().max(4096), signature: z.string().max(256) });

/** What is signed with the new key. */
function statement(from: string, to: string): Buffer {
  return Buffer.from(`iservft-edge: the node ${from} becomes ${to}`);
}

/** What it works with. */
export interface RotationOptions {
  /** DATA/identity. */
  directory: string;
  channel: PeerChannel;
  /** This node's identity now. */
  identity(): Identity;
  /** The node shows this one from now on. */
  use(identity: Identity): void;
  /** The other node will come with this ID. Durable when it returns. */
  expect(id: string): void;
}

export class Rotation {
  readonly #options: RotationOptions;
  #running = false;

  constructor(options: RotationOptions) {
    this.#options = options;
    options.channel.answer(METHOD, (raw) => Promise.resolve(this.#told(raw)));
  }

  get #next(): string {
    return `${this.#options.directory}/next`;
  }

  /** Makes a new identity and takes it. Throws ProblemError; the old one then goes on, or the change is finished when the nodes meet again. */
  async rotate(): Promise<void> {
    if (this.#running) {
      throw new ProblemError("conflict", explained("pair.rotating"));
    }
    const { channel, identity, directory, use } = this.#options;
    if (channel.peer !== null && !channel.reachable) {
      throw unreachable(explained("peer.identity"));
    }
    this.#running = true;
    try {
      const next = openIdentity(this.#next);
      const signature = sign("sha256", statement(identity().id, next.id), createPrivateKey(next.key));
      if (channel.peer !== null) {
        await channel.call(METHOD, {
          certificate: next.certificate,
          signature: signature.toString("base64"),
        });
      }
      moveFile(`${this.#next}/${IDENTITY_FILE}`, `${directory}/${IDENTITY_FILE}`);
      use(next);
    } catch (error) {
      // Whether a call without an answer was heard is not known: then it is finished when the nodes meet again.
      const heard = error instanceof ProblemError && error.code !== "peer_unreachable";
      if (heard) this.drop();
      throw error;
    } finally {
      this.#running = false;
    }
  }

  /** Finishes what a crash interrupted. */
  async resume(): Promise<void> {
    if (!this.#running && readIdentity(this.#next) !== null) await this.rotate();
  }

  /** Gives up what was begun. */
  drop(): void {
    removeFile(`${this.#next}/${IDENTITY_FILE}`);
  }

  #told(raw: unknown): Record<string, never> {
    const read = offerSchema.safeParse(raw);
    const { channel, expect } = this.#options;
    if (channel.peer === null || !read.success) throw refused("it is not what a node says");
    let certificate: X509Certificate;
    try {
      certificate = new X509Certificate(read.data.certificate);
    } catch {
      throw refused("its certificate is damaged");
    }
    const id = nodeIdOf(certificate.raw);
    const signature = Buffer.from(read.data.signature, "base64");
    // The ID that it has now: the one of this very connection, which another change may have made newer than the stored one.
    if (!verify("sha256", statement(channel.peer.id, id), certificate.publicKey, signature)) {
      throw refused("it does not have the key of its new certificate");
    }
    expect(id);
    return {};
  }
}

function refused(why: string): ProblemError {
  return new ProblemError("refused", explained("pair.identity_refused", { why }));
}
