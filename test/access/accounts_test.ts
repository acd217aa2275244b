import assert from "node:assert/strict";
import { COST, passwordProblem, Passwords } from "../../lib/access/password.ts";
import { openStore } from "../../lib/access/store.ts";
import { PASSWORD, problem, rig, signIn, user } from "./kit.ts";

Deno.test("the last administrator can neither be removed nor lose the role, also by two at once", async () => {
  await using r = await rig();
  const { users } = r.access;
  await user(r.access, "ann", "administrator");
  await assert.rejects(users.remove("ann", "local"), problem("refused"));
  await assert.rejects(users.change("ann", { role: "viewer" }, "local"), problem("refused"));
  await user(r.access, "bob", "administrator");
  const both = await Promise.allSettled([
    users.change("ann", { role: "viewer" }, "local"),
    users.change("bob", { role: "viewer" }, "local"),
  ]);
  assert.deepEqual(both.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  assert.equal(users.list().filter(({ role }) => role === "administrator").length, 1);
});

Deno.test("accounts are there after a restart, and what is on disk has no password and is nobody else's", async () => {
  await using r = await rig();
  await user(r.access, "ann", "administrator");
  const { secret } = await signIn(r.access, "ann");
  const { secret: token } = await r.access.tokens.create(
    { name: "grafana", role: "viewer", days: null },
    "local",
  );
  await r.reopen();
  assert.equal(r.access.sessions.find(secret)?.principal.name, "user:ann");
  assert.equal(r.access.tokens.find(token)?.name, "token:grafana");
  for (const entry of Deno.readDirSync(r.directory)) {
    const file = `${r.directory}/${entry.name}`;
    assert.equal(Deno.statSync(file).mode! & 0o777, 0o600, entry.name);
    const text = new TextDecoder("latin1").decode(Deno.readFileSync(file));
    for (const hidden of [PASSWORD, secret, token]) assert.ok(!text.includes(hidden), entry.name);
  }
  assert.equal(Deno.statSync(r.directory).mode! & 0o777, 0o700);
});

Deno.test("two accounts of one name cannot be made at the same time", async () => {
  await using r = await rig();
  const both = await Promise.allSettled([user(r.access, "ann"), user(r.access, "ann")]);
  assert.deepEqual(both.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
});

Deno.test("a password that is tried first, of one letter, or the account's name will not do", async () => {
  await using r = await rig();
  for (const password of ["Password123", "aaaaaaaaaaaa", "annabella12"]) {
    assert.notEqual(passwordProblem(password, "annabella"), null, password);
    await assert.rejects(
      r.access.users.create({ name: "annabella", password, role: "viewer", language: null }, "local"),
      problem("invalid"),
    );
  }
  assert.equal(passwordProblem("correct horse battery", "annabella"), null);
});

Deno.test("a password is checked at OWASP's cost, whatever way its letters were composed", async () => {
  assert.ok(COST.n * COST.r * COST.p >= 2 ** 15 * 8 * 3);
  const passwords = new Passwords(COST);
  const kept = await passwords.hash("gr\u00fcne Wiese 77"); // ü as one character
  assert.ok(kept.startsWith("scrypt$32768$8$3$"));
  assert.equal(await passwords.verify("gru\u0308ne Wiese 77", kept), true); // u and two dots
  assert.equal(await passwords.verify("grune Wiese 77", kept), false);
});

Deno.test("many who sign in at once wait, and more than that are turned away", async () => {
  const passwords = new Passwords({ n: 1024, r: 8, p: 1 });
  const kept = await passwords.hash(PASSWORD);
  const tries = await Promise.allSettled(Array.from({ length: 100 }, () => passwords.verify(PASSWORD, kept)));
  const done = tries.filter((one) => one.status === "fulfilled" && one.value);
  const away = tries.filter((one) => one.status === "rejected" && problem("too_many")(one.reason));
  assert.deepEqual([done.length, away.length], [34, 66]);
  assert.equal(await passwords.verify(PASSWORD, kept), true);
});

Deno.test("a password that was kept at a lower cost is kept at today's after a sign-in", async () => {
  const cost = { n: 16, r: 1, p: 1 };
  await using r = await rig({ cost });
  const kept = () => {
    using store = openStore(r.directory);
    return store.user("ann")!.password.slice(0, 14);
  };
  await user(r.access, "ann");
  assert.equal(kept(), "scrypt$16$1$1$");
  cost.n = 32;
  await signIn(r.access, "ann");
  assert.equal(kept(), "scrypt$32$1$1$");
  await signIn(r.access, "ann");
});

Deno.test("changes are told as events and written down with who made them", async () => {
  await using r = await rig();
  await user(r.access, "ann", "administrator");
  await r.access.users.change("ann", { language: "zh-TW", password: "another long secret" }, "user:root");
  await user(r.access, "bob");
  await r.access.users.remove("bob", "user:ann");
  assert.deepEqual(r.said, [
    "created ann by local",
    "changed ann: language zh-TW, password by user:root",
    "created bob by local",
    "deleted bob by user:ann",
  ]);
  const actions = (await r.access.audit.query({ limit: 10 })).map(({ action, subject, actor }) =>
    `${action} ${subject} ${actor}`
  );
  assert.deepEqual(actions, [
    "user.remove bob user:ann",
    "user.create bob local",
    "user.change ann user:root",
    "user.create ann local",
  ]);
});
