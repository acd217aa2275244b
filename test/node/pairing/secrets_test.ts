/** Codes, digits, commitments. */

import assert from "node:assert/strict";
import {
  commitment,
  digitsOf,
  type Exchanged,
  keyId,
  makeCode,
  pairKey,
  random,
  same,
  typedCode,
} from "../../../lib/node/pairing/secrets.ts";

Deno.test("a code is read however it is typed, and each wrong or swapped character is found before anything is sent", () => {
  const seen = new Set<string>();
  for (let i = 0; i < 50; i++) {
    const code = makeCode();
    assert.match(code, /^[A-Z2-7]{3}-[A-Z2-7]{3}-[A-Z2-7]{3}$/);
    seen.add(code);
    const plain = code.replaceAll("-", "");
    const sloppy = ` ${plain.toLowerCase().replaceAll("o", "0").replaceAll("i", "1").replaceAll("b", "8")} `;
    for (const typed of [code, plain, sloppy, plain.split("").join(" ")]) {
      assert.equal(typedCode(typed), code);
    }
    for (let at = 0; at < plain.length; at++) {
      const other = plain[at] === "A" ? "C" : "A";
      assert.equal(typedCode(`${plain.slice(0, at)}${other}${plain.slice(at + 1)}`), null, `${code}, ${at}`);
      const [one, two] = [plain[at]!, plain[at + 1]];
      if (two === undefined || one === two) continue;
      assert.equal(
        typedCode(`${plain.slice(0, at)}${two}${one}${plain.slice(at + 2)}`),
        null,
        `${code}, ${at}`,
      );
    }
    for (const wrong of ["", plain.slice(1), `${plain}A`, plain.replace(/./, "!")]) {
      assert.equal(typedCode(wrong), null);
    }
  }
  assert.equal(seen.size, 50);
});

Deno.test("digits, keys and commitments change with each thing that they are made of, and digits are spread", () => {
  const base: Exchanged = { ids: { inviter: "I", joiner: "J" }, commitments: { inviter: "a", joiner: "b" } };
  const nonces = { inviter: random(), joiner: random() };
  const digits = digitsOf(base, nonces);
  assert.equal(digitsOf(base, { ...nonces }), digits);
  const others = [
    digitsOf({ ...base, ids: { inviter: "M", joiner: "J" } }, nonces),
    digitsOf({ ...base, ids: { inviter: "J", joiner: "I" } }, nonces),
    digitsOf(base, { ...nonces, inviter: random() }),
    digitsOf(base, { inviter: nonces.joiner, joiner: nonces.inviter }),
  ];
  assert.ok(new Set([digits, ...others]).size >= 4); // two of five the same by chance: 1 in 100,000
  const many = Array.from({ length: 2000 }, () => digitsOf(base, { inviter: random(), joiner: "0" }));
  assert.ok(many.every((one) => /^\d{6}$/.test(one)) && new Set(many).size > 1980);
  assert.deepEqual([...new Set(many.map((one) => one[0]))].sort().join(""), "0123456789");

  const sides = { side: "joiner", own: "J", theirs: "I" } as const;
  const made = commitment(nonces.joiner, sides);
  assert.notEqual(commitment(nonces.joiner, { ...sides, side: "inviter" }), made);
  assert.notEqual(commitment(nonces.joiner, { ...sides, theirs: "M" }), made);
  assert.notEqual(commitment(nonces.inviter, sides), made);

  const parts = { inviter: random(), joiner: random() };
  const key = pairKey(parts, base);
  assert.match(key, /^[0-9a-f]{64}$/);
  assert.equal(pairKey(parts, base), key);
  assert.notEqual(pairKey({ ...parts, inviter: random() }, base), key);
  assert.notEqual(pairKey({ ...parts, joiner: random() }, base), key);
  assert.ok(!key.includes(keyId(key)));
  assert.deepEqual([same("ab", "ab"), same("ab", "ac"), same("ab", "abc")], [true, false, false]);
});
