/** What the modelled parts of the product (engine, metadata's disk, journal, runner, witness) do for safety. Each can be switched off: a
 * mutation does, and must be found out. */

export interface Rules {
  /** Output of committed epochs leaves only while the backup cannot have found this host silent. */
  lease: boolean;
  /** The engine refuses older terms, and terms that the peer says it has. */
  terms: boolean;
  /** Only a whole copy is promoted, and an epoch is applied when all of it is there. */
  wholeEpochs: boolean;
  /** Output waits until one host's journal has what was flushed before it. */
  journalFirst: boolean;
  /** A host that goes on alone lets nothing out before its own journal has all. */
  ownJournalFirst: boolean;
  /** Recovery ends at the first record that is missing. */
  journalInOrder: boolean;
  /** `written` is told when it is on stable storage, not before. */
  writtenIsDurable: boolean;
  /** A torn slot of the metadata is noticed by its checksum, and the other one is read. */
  twoSlots: boolean;
  /** After a stall of its own a runner waits before it opens or promotes. */
  settles: boolean;
  /** `unless` of open and promote is looked at. */
  looksAgain: boolean;
  /** The witness has its record on stable storage before it answers. */
  witnessDurable: boolean;
  /** Before a promotion by silence the old primary's lease is outlasted. */
  outlastsLease: boolean;
}

export const RULES: Rules = {
  lease: true,
  terms: true,
  wholeEpochs: true,
  journalFirst: true,
  ownJournalFirst: true,
  journalInOrder: true,
  writtenIsDurable: true,
  twoSlots: true,
  settles: true,
  looksAgain: true,
  witnessDurable: true,
  outlastsLease: true,
};
