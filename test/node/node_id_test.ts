import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { nodeIdOf, readNodeId, shortId } from "../../lib/node_id.ts";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const ID = nodeIdOf(new Uint8Array([1, 2, 3]));

function problem(text: string): string {
  const read = readNodeId(text);
  return "problem" in read ? read.problem : "";
}

Deno.test("an ID is the SHA-256 in 13 groups of five, and is the same for ever", () => {
  // By another program; every fifth character is ours.
  const base32 = "AOIFRRXSYDFUSLCTHMFE2FHPO7GA66FLZTHNKKD5QSQ2EAI47OAQ";
  assert.equal(ID, "AOIFM-RRXSK-YDFUQ-SLCTE-HMFEZ-2FHPV-O7GA5-66FLK-ZTHNL-KKD5I-QSQ2E-EAI45-7OAQG");
  assert.equal(ID.split("-").map((group) => group.slice(0, 4)).join(""), base32);
  assert.equal(shortId(ID), ID.slice(0, 11));
});

Deno.test("an ID is read back however it was typed", () => {
  for (let i = 0; i < 50; i++) {
    const id = nodeIdOf(randomBytes(100));
    const typed = [
      id,
      ` ${id.toLowerCase()}\n`,
      id.replaceAll("-", ""),
      id.replaceAll("-", " "),
      id.replaceAll("O", "0").replaceAll("I", "1").replaceAll("B", "8"),
    ];
    for (const text of typed) assert.deepEqual(readNodeId(text), { id });
  }
});

Deno.test("every single wrong character is found, in its group", () => {
  const groups = ID.split("-");
  for (let group = 0; group < 13; group++) {
    for (let place = 0; place < 5; place++) {
      for (const wrong of ALPHABET) {
        const right = groups[group]!;
        if (right[place] === wrong) continue;
        const typed = right.slice(0, place) + wrong + right.slice(place + 1);
        const said = problem(groups.with(group, typed).join("-"));
        assert.equal(said, `group ${group + 1} ("${typed}") is mistyped: its check character does not fit`);
      }
    }
  }
});

Deno.test("every two characters of a group that are swapped, and every two groups that are swapped, are found", () => {
  for (let i = 0; i < 20; i++) {
    const groups = nodeIdOf(randomBytes(10)).split("-");
    for (let a = 0; a < 13; a++) {
      for (let b = a + 1; b < 13; b++) {
        if (groups[a] === groups[b]) continue;
        const swapped = groups.with(a, groups[b]!).with(b, groups[a]!).join("-");
        assert.match(problem(swapped), new RegExp(`^group ${a + 1} .* group ${b + 1} `));
      }
      for (let place = 0; place < 4; place++) {
        const letters = [...groups[a]!];
        if (letters[place] === letters[place + 1]) continue;
        const typed = letters.with(place, letters[place + 1]!).with(place + 1, letters[place]!).join("");
        assert.match(problem(groups.with(a, typed).join("-")), new RegExp(`^group ${a + 1} `));
      }
    }
  }
});

Deno.test("what is too short, too long or no ID at all is said so", () => {
  const groups = ID.split("-");
  assert.match(problem(""), /^has 0 characters; an ID has 13 groups of 5 characters/);
  assert.match(problem(ID.replaceAll("-", "").slice(5)), /^has 60 characters/);
  assert.match(problem(groups.slice(1).join("-")), /^has 12 groups/);
  assert.match(problem(`${ID}-AAAAA`), /^has 14 groups/);
  assert.match(
    problem(groups.with(4, "ABC").join("-")),
    /^group 5 \("ABC"\) has 3 characters; each group has 5/,
  );
  assert.match(
    problem(groups.with(4, "AB!DE").join("-")),
    /^group 5 \("AB!DE"\) has a "!"; an ID has only letters/,
  );
  assert.match(problem(groups.with(2, "AB9DE").join("-")), /^group 3 \("AB9DE"\) has a "9"/);
});
