import assert from "node:assert/strict";
import { CALLER, PASSWORD, problem, rig, user } from "./kit.ts";

const ANN = { name: "ann", password: PASSWORD, language: "zh-TW" } as const;

Deno.test("the link makes the first administrator once, signs them in, and says that it is done", async () => {
  await using r = await rig();
  const { setup, sessions } = r.access;
  let done = 0;
  using _listening = setup.onDone(() => done++);
  const token = setup.token()!;
  assert.equal(setup.token(), token);
  await assert.rejects(setup.redeem("x".repeat(43), ANN, CALLER), problem("forbidden"));
  const two = await Promise.allSettled([
    setup.redeem(token, ANN, CALLER),
    setup.redeem(token, { ...ANN, name: "eve" }, CALLER),
  ]);
  assert.deepEqual(two.map(({ status }) => status), ["fulfilled", "rejected"]);
  assert.deepEqual([done, setup.needed(), setup.token()], [1, false, null]);
  const { secret } = (two[0] as PromiseFulfilledResult<{ secret: string }>).value;
  const principal = sessions.find(secret)?.principal;
  assert.deepEqual([principal?.role, principal?.language], ["administrator", "zh-TW"]);
  await assert.rejects(setup.redeem(token, { ...ANN, name: "eve" }, CALLER), problem("forbidden"));
  await r.reopen();
  assert.equal(r.access.setup.token(), null);
});

Deno.test("a link that is an hour old is another one", async () => {
  await using r = await rig();
  const old = r.access.setup.token()!;
  r.clock.ms += 60 * 60_000;
  await assert.rejects(r.access.setup.redeem(old, ANN, CALLER), problem("forbidden"));
  assert.notEqual(r.access.setup.token(), old);
  await r.access.setup.redeem(r.access.setup.token()!, ANN, CALLER);
});

Deno.test("a password that will not do leaves the link valid", async () => {
  await using r = await rig();
  const token = r.access.setup.token()!;
  await assert.rejects(
    r.access.setup.redeem(token, { ...ANN, password: "password123" }, CALLER),
    problem("invalid"),
  );
  await r.access.setup.redeem(token, ANN, CALLER);
});

Deno.test("an administrator that the command line made ends the set-up as well; another account does not", async () => {
  await using r = await rig();
  let done = 0;
  using _listening = r.access.setup.onDone(() => done++);
  await user(r.access, "bob", "operator");
  assert.deepEqual([r.access.setup.needed(), done], [true, 0]);
  await r.access.users.change("bob", { role: "administrator" }, "local");
  assert.deepEqual([r.access.setup.needed(), done], [false, 1]);
});
