/** The conversation of two nodes that are being paired, over TLS whose certificates neither knows yet:
 *
 *   joiner → HELLO {kind: "pair", version, introduction, commitment}
 *          ← hello {version, introduction, salt, commitment}
 *          → code {proof}        the joiner first: who only pretends to wait for a code learns nothing from the inviter
 *          ← code {proof}
 *          → reveal {nonce}      checked against the commitment
 *          ← reveal {nonce}      from here on both show the same six digits, unless somebody sits in between
 *          ⇄ confirmed {part}    each when its person has confirmed; the parts make the pair's key
 *          ⇄ stored {}           each when it has written the pair down
 *
 * docs/pairing.md says what each step protects from. */

import { explained } from "../../model/problem_english.ts";
import { z } from "zod";
import { Refused } from "../peer/greeting.ts";
import type { Link } from "../peer/link.ts";
import {
  fromBody,
  type Introduction,
  introductionSchema,
  type Offer,
  offerSchema,
  openingSchema,
  type Refusal,
  refusalSchema,
  refusalText,
  TYPE,
  versionRefusal,
} from "../peer/messages.ts";
import {
  codeKey,
  codeProof,
  commitment,
  digitsOf,
  type Exchanged,
  pairKey,
  random,
  same,
  type Side,
} from "./secrets.ts";

const hex = z.string().regex(/^[0-9a-f]{64}$/);
const openerSchema = openingSchema.extend({
  kind: z.literal("pair"),
  introduction: introductionSchema,
  commitment: hex,
});
const helloStep = offerSchema.extend({
  step: z.literal("hello"),
  introduction: introductionSchema,
  salt: hex,
  commitment: hex,
});
const codeStep = z.object({ step: z.literal("code"), proof: hex });
const revealStep = z.object({ step: z.literal("reveal"), nonce: hex });
const confirmedStep = z.object({ step: z.literal("confirmed"), part: hex });
const storedStep = z.object({ step: z.literal("stored") });

/** What either side brings. */
export interface Party {
  /** This node's ID, and that of the other end by its certificate. */
  own: string;
  theirs: string;
  offer: Offer;
  introduction: Introduction;
}

/** Both know the code, and both nonces are known: a person compares the digits. */
export interface Compared {
  side: Side;
  link: Link;
  digits: string;
  exchanged: Exchanged;
  peer: { id: string; version: string; introduction: Introduction };
}

/** Refusals of pairing, for people. */
export const REFUSAL = {
  malformed: {
    code: "malformed",
    ...refusalText(explained("pair.malformed")),
  },
  wrong_code: {
    code: "wrong_code",
    ...refusalText(explained("pair.wrong_code")),
  },
  not_inviter: {
    code: "wrong_code",
    ...refusalText(explained("pair.not_inviter")),
  },
  mismatch: {
    code: "mismatch",
    ...refusalText(explained("pair.mismatch")),
  },
  cancelled: {
    code: "cancelled",
    ...refusalText(explained("pair.cancelled")),
  },
} as const satisfies Record<string, Refusal>;

/** The next step. Throws Refused when the other side refuses, or says something else; Error when it is gone. */
async function step<Schema extends z.ZodType>(link: Link, schema: Schema): Promise<z.infer<Schema>> {
  const frame = await link.next();
  if (frame === null) throw new Error(link.over ?? "the connection was closed");
  if (frame.type === TYPE.REFUSED || frame.type === TYPE.BYE) {
    throw new Refused(fromBody(refusalSchema, frame.body) ?? REFUSAL.malformed);
  }
  const said = frame.type === TYPE.PAIRING ? fromBody(schema, frame.body) : undefined;
  if (said === undefined) throw new Refused(REFUSAL.malformed);
  return said;
}

/** Checks what the other side reveals. */
async function revealed(
  link: Link,
  side: Side,
  { own, theirs, exchanged }: Party & { exchanged: Exchanged },
) {
  const { nonce } = await step(link, revealStep);
  // As the other side sees it: its own ID is `theirs` here.
  const committed = commitment(nonce, { side, own: theirs, theirs: own });
  if (!same(committed, exchanged.commitments[side])) throw new Refused(REFUSAL.mismatch);
  return nonce;
}

/** The side where the code was typed. Throws Refused; Error when the other side is gone. */
export async function joinAs(link: Link, { party, code }: { party: Party; code: string }): Promise<Compared> {
  const { own, theirs, offer, introduction } = party;
  const nonce = random();
  const mine = commitment(nonce, { side: "joiner", own, theirs });
  link.say(TYPE.HELLO, { kind: "pair", ...offer, introduction, commitment: mine });
  const hello = await step(link, helloStep);
  const refusal = versionRefusal(offer, hello);
  if (refusal !== null) throw new Refused(refusal);
  const exchanged: Exchanged = {
    ids: { inviter: theirs, joiner: own },
    commitments: { inviter: hello.commitment, joiner: mine },
  };
  const key = await codeKey(code, hello.salt);
  link.say(TYPE.PAIRING, { step: "code", proof: codeProof(key, { side: "joiner", exchanged }) });
  const { proof } = await step(link, codeStep);
  if (!same(proof, codeProof(key, { side: "inviter", exchanged }))) throw new Refused(REFUSAL.not_inviter);
  link.say(TYPE.PAIRING, { step: "reveal", nonce });
  const other = await revealed(link, "inviter", { ...party, exchanged });
  return {
    side: "joiner",
    link,
    digits: digitsOf(exchanged, { inviter: other, joiner: nonce }),
    exchanged,
    peer: { id: theirs, version: hello.version, introduction: hello.introduction },
  };
}

/** What the inviter holds of its code. `judge`: counts a wrong one; throws Refused when the code is void. */
export interface Invitation {
  salt: string;
  key: Promise<Uint8Array>;
  judge(right: boolean): void;
}

/** The joiner's first frame, checked. Throws Refused. */
export function readOpener(body: Uint8Array, offer: Offer): z.infer<typeof openerSchema> {
  const opening = fromBody(openingSchema, body);
  if (opening === undefined) throw new Refused(REFUSAL.malformed);
  const refusal = versionRefusal(offer, opening);
  if (refusal !== null) throw new Refused(refusal);
  const opener = fromBody(openerSchema, body);
  if (opener === undefined) throw new Refused(REFUSAL.malformed);
  return opener;
}

/** The side that shows the code. Throws Refused; Error when the other side is gone. */
export async function inviteAs(
  link: Link,
  { party, opener, invitation }: {
    party: Party;
    opener: z.infer<typeof openerSchema>;
    invitation: Invitation;
  },
): Promise<Compared> {
  const { own, theirs, offer, introduction } = party;
  const nonce = random();
  const mine = commitment(nonce, { side: "inviter", own, theirs });
  const { salt } = invitation;
  link.say(TYPE.PAIRING, { step: "hello", ...offer, introduction, salt, commitment: mine });
  const exchanged: Exchanged = {
    ids: { inviter: own, joiner: theirs },
    commitments: { inviter: mine, joiner: opener.commitment },
  };
  const { proof } = await step(link, codeStep);
  const key = await invitation.key;
  invitation.judge(same(proof, codeProof(key, { side: "joiner", exchanged })));
  link.say(TYPE.PAIRING, { step: "code", proof: codeProof(key, { side: "inviter", exchanged }) });
  const other = await revealed(link, "joiner", { ...party, exchanged });
  link.say(TYPE.PAIRING, { step: "reveal", nonce });
  return {
    side: "inviter",
    link,
    digits: digitsOf(exchanged, { inviter: nonce, joiner: other }),
    exchanged,
    peer: { id: theirs, version: opener.version, introduction: opener.introduction },
  };
}

/** Waits until both persons have confirmed, and makes the pair's key. `confirmedHere` resolves when this node's has. Throws Refused when the
 * other side has cancelled; Error when it is gone. */
export async function agree(compared: Compared, confirmedHere: Promise<void>): Promise<string> {
  const { link, side, exchanged } = compared;
  const part = random();
  const other = step(link, confirmedStep);
  const gone = Promise.race([
    link.ended.then((why) => Promise.reject(new Error(why))),
    other.then(() => new Promise<never>(() => {})), // only for its failure
  ]);
  const mine = confirmedHere.then(() => link.say(TYPE.PAIRING, { step: "confirmed", part }));
  const [{ part: theirs }] = await Promise.race([Promise.all([other, mine]), gone]);
  const parts = side === "inviter" ? { inviter: part, joiner: theirs } : { inviter: theirs, joiner: part };
  return pairKey(parts, exchanged);
}

/** Says that the pair is written down here, and waits until it is there too. */
export async function stored({ link }: Compared): Promise<void> {
  link.say(TYPE.PAIRING, { step: "stored" });
  await step(link, storedStep);
}
