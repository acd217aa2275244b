/** The VMs of a node: their settings, their runners, what is shown of them and what is done with them. */

import type { Actor, Duplex, VmBackend } from "../../model/backend.ts";
import { ProblemError } from "../../model/problem.ts";
import type { SwitchoverView, VmAction, VmCreate, VmSample, VmView } from "../../model/vm.ts";
import type { VmManagerOptions } from "./options.ts";
import type { VmReport } from "./records.ts";

/** A disk that is there: its path as in the VM's file (relative ones are below DATA/vms), and its size. */
export interface FinishedDisk {
  path: string;
  bytes: number;
}

export class VmManager implements Omit<VmBackend, "create">, AsyncDisposable {
  readonly #options: VmManagerOptions;
  readonly #listeners = new Set<() => void>();

  private constructor(options: VmManagerOptions) {
    this.#options = options;
  }

  /** Reads the settings, adopts the runners that run, starts those that should. */
  static open(options: VmManagerOptions): Promise<VmManager> {
    return Promise.resolve(new VmManager(options));
  }

  /** All VMs, by name. Costs nothing. */
  views(): VmView[] {
    return [];
  }

  /** What the runners of both nodes say; the other node's: null when it is not heard. For the picture of lines and arbiter. */
  reports(): { here: VmReport[]; there: VmReport[] | null } {
    return { here: [], there: null };
  }

  /** Called when a view may have changed, at most a few times a second. */
  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  /** The directory for a VM's images. Absolute. */
  directoryOf(name: string): string {
    return `${this.#options.places.data}/vms/${name}`;
  }

  /** Checks a VM before its disks are made: name, settings, paths. Throws ProblemError with every field that is wrong. */
  checkNew(_vm: VmCreate): void {
    throw unbuilt();
  }

  /** Adds a VM whose disks are there, and makes empty ones of the same size on the other node; starts it if that is wanted. */
  add(_vm: VmCreate, _disks: readonly FinishedDisk[], _actor: Actor): Promise<VmView> {
    throw unbuilt();
  }

  act(
    _name: string,
    _action: Exclude<VmAction, "delete" | "switchover">,
    _actor: Actor,
  ): Promise<{ detail: string }> {
    throw unbuilt();
  }

  switchover(_name: string, _actor: Actor): Promise<SwitchoverView> {
    throw unbuilt();
  }

  remove(_name: string, _options: { disks: boolean }, _actor: Actor): Promise<void> {
    throw unbuilt();
  }

  update(
    _name: string,
    _patch: { revision: number; spec: Record<string, unknown> },
    _actor: Actor,
  ): Promise<VmView> {
    throw unbuilt();
  }

  file(_name: string): Promise<string> {
    throw unbuilt();
  }

  logs(_name: string, _options: { lines: number }): Promise<string[]> {
    throw unbuilt();
  }

  switchovers(_name: string): Promise<SwitchoverView[]> {
    throw unbuilt();
  }

  history(
    name: string,
    options: { from_ms: number; to_ms: number; points: number },
  ): Promise<VmSample[]> {
    return this.#options.history?.(name, options) ?? Promise.resolve([]);
  }

  openConsole(_name: string, _kind: "serial" | "screen"): Promise<Duplex> {
    throw unbuilt();
  }

  /** The pair's settings or the other node changed. */
  pairChanged(): void {}

  /** Lets go of the runners, which go on. */
  async [Symbol.asyncDispose](): Promise<void> {}
}

function unbuilt(): ProblemError {
  return new ProblemError("failed", { detail: "This node has no VMs yet", hint: "Install a newer version." });
}
