/** Lines of a VM that runs, for another peer (isf_relink). */
export interface NewLines {
  /** The new pair's secret: 32 bytes. */
  secret: Uint8Array<ArrayBuffer>;
  /** Eight words, as iservft.h lists them. */
  lines: string;
  port: number;
  listen: number;
}
