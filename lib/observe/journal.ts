/** journald's own protocol: one datagram for each entry, whose fields can be asked for (`journalctl ISERVFT_EVENT=vm.taken_over`). See
 * https://systemd.io/JOURNAL_NATIVE_PROTOCOL/. */

const SOCKET = "/run/systemd/journal/socket";
const NAME_CHARS = 60;
/** A journald that takes nothing for so long is not asked again. */
const SEND_MS = 2000;

/** What this uses of Deno's sockets, which its stable types do not have. */
interface DatagramSocket {
  send(bytes: Uint8Array, to: { transport: "unixpacket"; path: string }): Promise<number>;
  close(): void;
}
type Listen = (options: { transport: "unixpacket"; path: string }) => DatagramSocket;

/** An entry. No value has a line break in it. */
export function journalEntry(
  entry: {
    message: string;
    priority: number;
    fields: Readonly<Record<string, string | number | boolean | null>>;
  },
): Uint8Array {
  const { message, priority, fields } = entry;
  const own = Object.entries(fields).filter(([, value]) => value !== null && value !== "")
    .map(([key, value]) =>
      `ISERVFT_${key.toUpperCase().replace(/[^A-Z0-9]+/g, "_").slice(0, NAME_CHARS)}=${value}`
    );
  const lines = [`MESSAGE=${message}`, `PRIORITY=${priority}`, "SYSLOG_IDENTIFIER=iservft-edge", ...own];
  return new TextEncoder().encode(lines.map((line) => `${line}\n`).join(""));
}

/** The way to journald. */
export class JournalSocket implements Disposable {
  readonly #path: string;
  #socket: DatagramSocket | null = null;

  constructor(path: string = SOCKET) {
    this.#path = path;
    try {
      const listen = (Deno as unknown as { listenDatagram: Listen }).listenDatagram;
      this.#socket = listen({ transport: "unixpacket", path: `\0iservft-edge-log-${crypto.randomUUID()}` });
    } catch {
      // Without it there is standard error.
    }
  }

  /** True when journald has it. */
  async send(entry: Uint8Array): Promise<boolean> {
    const socket = this.#socket;
    if (socket === null) return false;
    // Closing it ends the wait.
    const late = setTimeout(() => this[Symbol.dispose](), SEND_MS);
    try {
      return await socket.send(entry, { transport: "unixpacket", path: this.#path }) === entry.length;
    } catch {
      return false; // it is being started anew
    } finally {
      clearTimeout(late);
    }
  }

  [Symbol.dispose](): void {
    this.#socket?.close();
    this.#socket = null;
  }
}
