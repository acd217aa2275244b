import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { ABSOLUTE_MS, IDLE_MS } from "../../lib/access/changes.ts";
import { FRESH_MS } from "../../lib/access/sessions.ts";
import { CALLER, PASSWORD, problem, rig, signIn, user } from "./kit.ts";

Deno.test("a session ends when it was idle too long, and after twelve hours whatever was done", async () => {
  await using r = await rig();
  await user(r.access, "ann");
  const idle = (await signIn(r.access, "ann")).secret;
  r.clock.ms += IDLE_MS - 1;
  assert.notEqual(r.access.sessions.find(idle), null); // that was a use
  r.clock.ms += IDLE_MS - 1;
  assert.notEqual(r.access.sessions.find(idle, { use: false }), null); // and that was none
  r.clock.ms += 1;
  assert.equal(r.access.sessions.find(idle), null);

  const busy = (await signIn(r.access, "ann")).secret;
  for (let spent = 0; spent < ABSOLUTE_MS - IDLE_MS; spent += IDLE_MS / 2) {
    r.clock.ms += IDLE_MS / 2;
    assert.notEqual(r.access.sessions.find(busy), null);
  }
  r.clock.ms += IDLE_MS - 1;
  assert.notEqual(r.access.sessions.find(busy), null);
  r.clock.ms += 1;
  assert.equal(r.access.sessions.find(busy), null);
});

Deno.test("a session that was ended is dead, and a new password ends all of them", async () => {
  await using r = await rig();
  await user(r.access, "ann");
  const { sessions, users } = r.access;
  const [a, b, c] = await Promise.all([1, 2, 3].map(() => signIn(r.access, "ann")));
  await sessions.end("ann", a!.session.id, "user:ann");
  assert.equal(sessions.find(a!.secret), null);
  assert.notEqual(sessions.find(b!.secret), null);
  await users.changeOwnPassword("ann", { old: PASSWORD, new: "quite another one", code: "" }, CALLER);
  assert.equal(sessions.find(b!.secret), null);
  assert.equal(sessions.find(c!.secret), null);
  await assert.rejects(signIn(r.access, "ann"), problem("unauthenticated"));
  await signIn(r.access, "ann", { password: "quite another one" });
});

Deno.test("nobody ends a session of somebody else by its id", async () => {
  await using r = await rig();
  await user(r.access, "ann");
  await user(r.access, "bob");
  const { secret, session } = await signIn(r.access, "ann");
  await assert.rejects(r.access.sessions.end("bob", session.id, "user:bob"), problem("not_found"));
  assert.notEqual(r.access.sessions.find(secret), null);
});

Deno.test("what the disk keeps of a session does not open it", async () => {
  await using r = await rig();
  await user(r.access, "ann");
  const { session } = await signIn(r.access, "ann");
  for (const guess of [session.id, "", "x".repeat(43), "' or 1=1 --"]) {
    assert.equal(r.access.sessions.find(guess), null);
  }
});

Deno.test("a role that is taken away is gone from sessions that are open", async () => {
  await using r = await rig();
  await user(r.access, "ann", "operator");
  const { secret } = await signIn(r.access, "ann");
  await r.access.users.change("ann", { role: "viewer" }, "local");
  assert.equal(r.access.sessions.find(secret)?.principal.role, "viewer");
  await r.access.users.remove("ann", "local");
  assert.equal(r.access.sessions.find(secret), null);
});

Deno.test("a password counts five minutes for dangerous actions, and can be given again", async () => {
  await using r = await rig();
  await user(r.access, "ann");
  const { secret, session } = await signIn(r.access, "ann");
  const fresh = () => r.access.sessions.find(secret)?.principal.fresh;
  assert.equal(fresh(), true);
  r.clock.ms += FRESH_MS;
  assert.equal(fresh(), false);
  await assert.rejects(
    r.access.sessions.reauthenticate(session, { password: "wrong one", code: "" }, CALLER),
    problem("unauthenticated"),
  );
  assert.equal(fresh(), false);
  await r.access.sessions.reauthenticate(session, { password: PASSWORD, code: "" }, CALLER);
  assert.equal(fresh(), true);
});

Deno.test("an account has at most twenty sessions: the one that was used longest ago goes", async () => {
  await using r = await rig();
  await user(r.access, "ann");
  const first = await signIn(r.access, "ann");
  for (let i = 0; i < 20; i++) {
    r.clock.ms += 1000;
    await signIn(r.access, "ann");
  }
  assert.equal(r.access.sessions.find(first.secret), null);
  assert.equal(r.access.sessions.list("ann", null).length, 20);
});

Deno.test("a token has its role until it expires or is removed", async () => {
  await using r = await rig();
  const { tokens } = r.access;
  const short = await tokens.create({ name: "short", role: "viewer", days: 1 }, "local");
  const long = await tokens.create({ name: "long", role: "operator", days: null }, "local");
  await assert.rejects(
    tokens.create({ name: "long", role: "viewer", days: null }, "local"),
    problem("exists"),
  );
  assert.deepEqual([tokens.find(short.secret)?.role, tokens.find(long.secret)?.role], ["viewer", "operator"]);
  r.clock.ms += 24 * 3600_000;
  assert.equal(tokens.find(short.secret), null);
  assert.notEqual(tokens.list().find(({ name }) => name === "long")?.last_used, null);
  await tokens.remove(long.view.id, "local");
  assert.equal(tokens.find(long.secret), null);
});

Deno.test("a disk that a guest has filled locks out nobody who is signed in, and prolongs nothing", async () => {
  await using r = await rig();
  await user(r.access, "ann");
  const { secret } = await signIn(r.access, "ann");
  const token = await r.access.tokens.create({ name: "t", role: "viewer", days: null }, "local");
  {
    using db = new DatabaseSync(`${r.directory}/access.db`);
    for (const table of ["sessions", "tokens"]) {
      db.exec(
        `create trigger full_${table} before update on ${table} begin select raise(fail, 'full'); end`,
      );
    }
  }
  r.clock.ms += IDLE_MS - 1;
  assert.notEqual(r.access.sessions.find(secret), null);
  assert.notEqual(r.access.tokens.find(token.secret), null);
  r.clock.ms += 1;
  assert.equal(r.access.sessions.find(secret), null);
});
