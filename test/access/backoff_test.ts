import assert from "node:assert/strict";
import { Backoff } from "../../lib/access/backoff.ts";
import { addressKey, RateLimiter } from "../../lib/access/rate.ts";
import { PASSWORD, rig, signIn, user } from "./kit.ts";

async function outcome(work: Promise<unknown>): Promise<string> {
  return await work.then(() => "ok", (error) => String(error.code));
}

Deno.test("after five wrong passwords from one address the right one has to wait too, and elsewhere it need not", async () => {
  await using r = await rig();
  await user(r.access, "ann");
  for (let i = 0; i < 5; i++) {
    assert.equal(await outcome(signIn(r.access, "ann", { password: "wrong password" })), "unauthenticated");
  }
  assert.equal(await outcome(signIn(r.access, "ann")), "too_many");
  assert.deepEqual(r.said.at(-1), "locked ann from 192.0.2.7");
  assert.equal(await outcome(signIn(r.access, "ann", { address: "192.0.2.8" })), "ok");
  r.clock.ms += 1000;
  assert.equal(await outcome(signIn(r.access, "ann")), "ok");
});

Deno.test("the wait doubles, up to a quarter of an hour", () => {
  const clock = { s: 0 };
  const backoff = new Backoff(() => clock.s * 1000);
  const waits = Array.from({ length: 18 }, () => {
    for (let waited = 0;; waited++, clock.s++) {
      try {
        backoff.begin("ann", "192.0.2.7");
        return waited;
      } catch {
        assert.ok(waited <= 15 * 60);
      }
    }
  });
  assert.deepEqual(waits, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
});

Deno.test("whoever guesses from many addresses makes an account wait a minute at most, and its owner not at all", async () => {
  await using r = await rig();
  await user(r.access, "ann");
  await signIn(r.access, "ann", { address: "192.0.2.50" });
  for (let i = 0; i < 200; i++) {
    await outcome(signIn(r.access, "ann", { password: "x".repeat(12), address: `198.51.100.${i}` }));
  }
  const until = r.access.users.get("ann")?.locked_until;
  assert.ok(until !== null && until !== undefined && Date.parse(until) - r.clock.ms <= 60_000);
  assert.equal(await outcome(signIn(r.access, "ann", { address: "203.0.113.1" })), "too_many");
  assert.equal(await outcome(signIn(r.access, "ann", { address: "192.0.2.50" })), "ok");
});

Deno.test("an account that does not exist answers as one that does", async () => {
  await using r = await rig();
  await user(r.access, "ann");
  const answers = async (name: string, address: string) => {
    const all: string[] = [];
    for (let i = 0; i < 7; i++) {
      all.push(
        await signIn(r.access, name, { password: "wrong password", address }).then(
          String,
          (error) => `${error.code} ${error.message}`,
        ),
      );
    }
    return all;
  };
  assert.deepEqual(await answers("ann", "192.0.2.1"), await answers("nobody", "192.0.2.2"));
  // What was typed as a name may be a password: it is not in the log.
  const log = await r.access.audit.query({ limit: 100 });
  assert.ok(log.some(({ action, subject }) => action === "session.refused" && subject === "ann"));
  assert.ok(!log.some(({ subject }) => subject === "nobody"));
});

Deno.test("whoever guesses without end does not push out what the audit log has, and how many there were is said", async () => {
  await using r = await rig();
  await user(r.access, "ann");
  for (let i = 0; i < 300; i++) {
    await outcome(signIn(r.access, `nobody${i}`, { address: `198.51.${i >> 8}.${i & 255}` }));
    r.clock.ms += 60;
  }
  const count = async () =>
    (await r.access.audit.query({ limit: 1000 })).filter(({ action }) => action === "session.refused");
  const written = (await count()).length;
  assert.ok(written > 0 && written <= 202, String(written));
  r.clock.ms += 3600_000;
  await outcome(signIn(r.access, "nobody"));
  assert.match((await count())[0]!.detail, /^\d+ more were refused before/);
});

Deno.test("guesses that are made at the same time count as well", async () => {
  await using r = await rig();
  await user(r.access, "ann");
  const all = await Promise.all(
    Array.from(
      { length: 20 },
      (_, i) => outcome(signIn(r.access, "ann", { password: i === 19 ? PASSWORD : "wrong password" })),
    ),
  );
  assert.equal(all.filter((one) => one === "unauthenticated").length, 5);
  assert.equal(all.at(-1), "too_many");
});

Deno.test("what is remembered of addresses and accounts does not grow", () => {
  const backoff = new Backoff(() => 0);
  for (let i = 0; i < 20_000; i++) {
    backoff.begin(`user${i}`, `2001:db8:${(i >> 8).toString(16)}:${(i & 255).toString(16)}::1`);
  }
  assert.ok(backoff.size <= 3 * 8192);
  const rate = new RateLimiter({ burst: 1, perSecond: 1, keys: 100 }, () => 0);
  for (let i = 0; i < 1000; i++) rate.take(String(i));
  assert.equal(rate.size, 100);
});

Deno.test("a bucket lets its burst pass, then its rate", () => {
  const clock = { ms: 0 };
  const rate = new RateLimiter({ burst: 3, perSecond: 2, keys: 10 }, () => clock.ms);
  assert.deepEqual([1, 2, 3, 4].map(() => rate.take("a") === 0), [true, true, true, false]);
  assert.equal(rate.take("b"), 0);
  clock.ms += 500;
  assert.deepEqual([1, 2].map(() => rate.take("a") === 0), [true, false]);
});

Deno.test("an IPv6 network of one customer is one address, and a mapped IPv4 address is that address", () => {
  assert.equal(addressKey("2001:db8:0:7:1:2:3:4"), addressKey("2001:db8:0:7::9"));
  assert.notEqual(addressKey("2001:db8:0:7::9"), addressKey("2001:db8:0:8::9"));
  assert.equal(addressKey("::ffff:192.0.2.7"), addressKey("192.0.2.7"));
  assert.equal(addressKey("fe80::1%eth0"), addressKey("fe80::2"));
});

Deno.test("names that nobody has push out neither an address nor an account that waits", () => {
  const backoff = new Backoff(() => 0);
  const tried = (name: string, address: string) => {
    try {
      backoff.begin(name, address);
      return true;
    } catch {
      return false;
    }
  };
  for (let i = 0; i < 30; i++) tried("ann", `10.1.${i}.1`);
  for (let i = 0; i < 30; i++) tried(`first-${i}`, "10.9.9.9");
  assert.equal(tried("ann", "10.3.3.3"), false);
  assert.equal(tried("x", "10.9.9.9"), false);
  for (let i = 0; i < 15_000; i++) tried(`name-${i}`, `10.2.${i % 200}.${Math.floor(i / 200)}`);
  assert.equal(tried("ann", "10.3.3.3"), false, "the account waits still");
  assert.equal(tried("x", "10.9.9.9"), false, "the address waits still");
  assert.ok(backoff.size <= 3 * 8192);
});
