/** A line between two nodes that a test can cut, or make swallow everything. */

import { connect, createServer, type Server, type Socket } from "node:net";
import { HOST } from "./kit.ts";

export class Line implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #cut = false;
  #silent = false;
  /** Connections that it has carried. */
  carried = 0;
  /** Bytes that the dialling side sent. */
  readonly recorded: Uint8Array[] = [];

  private constructor(port: number) {
    this.#server = createServer((near) => {
      if (this.#cut) return void near.destroy();
      this.carried++;
      const far = connect({ host: HOST, port });
      for (const [from, to] of [[near, far], [far, near]] as const) {
        this.#sockets.add(from);
        from.on("data", (bytes: Uint8Array) => {
          if (from === near) this.recorded.push(bytes);
          if (!this.#silent) to.write(bytes);
        });
        from.on("error", () => {});
        from.on("close", () => {
          this.#sockets.delete(from);
          to.destroy();
        });
      }
    });
  }

  /** A line to a port of this machine. */
  static async to(port: number): Promise<Line> {
    const line = new Line(port);
    await new Promise<void>((resolve) => line.#server.listen(0, HOST, () => resolve()));
    return line;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  /** Breaks all connections, and takes no new ones. */
  cut(): void {
    this.#cut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Breaks all connections, once. */
  flap(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Keeps connections, and carries nothing: a cable that was pulled. */
  swallow(): void {
    this.#silent = true;
  }

  mend(): void {
    this.#cut = this.#silent = false;
    this.flap(); // what was swallowed does not come back
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.cut();
    await closed;
  }
}
