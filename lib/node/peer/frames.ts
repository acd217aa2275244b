/** Frames between two nodes: a length (u32, little-endian, of what follows), a type (u8), a body. The length is checked before anything is
 * allocated. */

/** A frame that came. */
export interface Frame {
  type: number;
  body: Uint8Array;
}

/** Bytes of a frame, type and body: of somebody whom one does not know yet, and of the other node. */
export const FRAME_MAX = { stranger: 4096, peer: 1024 * 1024 } as const;

const HEAD = 4;

/** What came is not a frame. */
export class FrameError extends Error {}

/** A frame as it is sent. */
export function encodeFrame(type: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEAD + 1 + body.length);
  new DataView(bytes.buffer).setUint32(0, 1 + body.length, true);
  bytes[HEAD] = type;
  bytes.set(body, HEAD + 1);
  return bytes;
}

/** Makes frames out of bytes, however they were cut on their way. Holds at most one frame that is not whole. */
export class FrameDecoder {
  #max: number;
  readonly #head = new Uint8Array(HEAD);
  #headFilled = 0;
  #frame: Uint8Array | null = null;
  #filled = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** How long frames may be from the next one on. */
  allow(max: number): void {
    this.#max = max;
  }

  /** Takes bytes; calls `take` with each frame that is whole now. Throws FrameError when a length is not allowed: nothing after it means
   * anything. */
  push(bytes: Uint8Array, take: (frame: Frame) => void): void {
    for (let at = 0; at < bytes.length;) {
      if (this.#frame === null) {
        const part = bytes.subarray(at, at + HEAD - this.#headFilled);
        this.#head.set(part, this.#headFilled);
        this.#headFilled += part.length;
        at += part.length;
        if (this.#headFilled < HEAD) return;
        this.#frame = new Uint8Array(this.#length());
        this.#filled = 0;
      }
      const part = bytes.subarray(at, at + this.#frame.length - this.#filled);
      this.#frame.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled < this.#frame.length) return;
      const whole = this.#frame;
      this.#frame = null;
      this.#headFilled = 0;
      take({ type: whole[0]!, body: whole.subarray(1) });
    }
  }

  #length(): number {
    const length = new DataView(this.#head.buffer).getUint32(0, true);
    if (length === 0 || length > this.#max) {
      throw new FrameError(`a frame of ${length} bytes came; 1 to ${this.#max} are allowed`);
    }
    return length;
  }
}
