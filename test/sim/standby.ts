/** A backup's copy: what the primary's epochs become here. */

import type { Content } from "./disk.ts";
import type { SimEngine } from "./engine.ts";

/** The state at the end of an epoch. */
export interface Epoch {
  term: number;
  generation: number;
  number: number;
  value: number;
}

/** COMMIT: the newest whole epoch, and how far the backup's journal is on stable storage. */
export interface Commit {
  generation: number;
  term: number;
  epoch: number;
  durable: number;
}

export class Standby {
  /** What is in memory here: both parts of one epoch, or it is not whole. */
  memory = 0;
  devices = 0;
  epoch = 0;
  whole = false;
  withheld = false;
  #marking = false;
  readonly #engine: SimEngine;

  constructor(engine: SimEngine) {
    this.#engine = engine;
  }

  #takes(of: { generation: number; term: number }): boolean {
    const { mode, generation, term, host } = this.#engine;
    return mode === "standby" && of.generation === generation &&
      (of.term === term || !host.world.rules.terms);
  }

  /** A first sync writes over what the disks here held. */
  overwritten(of: { generation: number; term: number }): void {
    if (!this.#takes(of) || this.whole) return;
    const { disk } = this.#engine.host;
    disk.replace({ ...disk.content, torn: true });
    this.#engine.flusher.flush();
  }

  /** A part of an epoch is kept aside, or, in a broken product, applied at once. */
  stagePart(epoch: Epoch): void {
    if (this.#takes(epoch) && !this.#engine.host.world.rules.wholeEpochs) this.memory = epoch.value;
  }

  stage(epoch: Epoch, content: Content): void {
    if (!this.#takes(epoch)) return;
    // It came before; its COMMIT was lost with a line.
    if (this.whole && epoch.number <= this.epoch) return this.tell();
    if (!this.whole) return this.#stageFirst(epoch, content);
    const { host, flusher } = this.#engine;
    const { generation, number, value } = epoch;
    this.#apply(epoch);
    if (host.disk.content.value < value) {
      host.disk.write({ generation, epoch: number, value });
      flusher.flush();
    }
    this.tell();
  }

  /** The copied image is synced before the copy is called whole. */
  #stageFirst(epoch: Epoch, content: Content): void {
    if (this.#marking) return;
    this.#marking = true;
    const { host, flusher } = this.#engine;
    host.disk.replace(content);
    flusher.whenClean(() => {
      // Another standby has begun since, or this one was ended.
      if (this.#engine.standby !== this || !this.#takes(epoch)) return;
      this.#apply(epoch);
      this.whole = true;
      host.dispatch({ kind: "whole", epoch: epoch.number });
      this.tell();
    });
  }

  #apply(epoch: Epoch): void {
    this.epoch = epoch.number;
    this.memory = this.devices = epoch.value;
  }

  /** Whether commits are told. */
  commits(on: boolean): void {
    this.withheld = !on;
    if (on) this.tell();
  }

  /** Sends the COMMIT. */
  tell(): void {
    const { mode, generation, term, host } = this.#engine;
    if (!this.whole || mode !== "standby" || this.withheld) return;
    const { stable, clean } = host.disk;
    const durable = clean ? this.epoch : stable.generation === generation ? stable.epoch : 0;
    const commit = { generation, term, epoch: this.epoch, durable };
    this.#engine.send((peer) => peer.engine.commit(commit));
  }
}
