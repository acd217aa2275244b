import assert from "node:assert/strict";
import { type TOTP, URI } from "otpauth";
import { problem, type Rig, rig, signIn, user } from "./kit.ts";

async function withApp(r: Rig): Promise<{ app: TOTP; recovery: string[] }> {
  const app = URI.parse(r.access.totp.offer("ann").uri) as TOTP;
  const recovery = await r.access.totp.confirm("ann", app.generate({ timestamp: r.clock.ms }));
  r.clock.ms += 30_000; // the next code
  return { app, recovery };
}

Deno.test("with an authenticator the password alone does not do, nor a code that was used", async () => {
  await using r = await rig();
  await user(r.access, "ann");
  const { app } = await withApp(r);
  const code = () => app.generate({ timestamp: r.clock.ms });
  await assert.rejects(signIn(r.access, "ann"), problem("unauthenticated"));
  await assert.rejects(
    signIn(r.access, "ann", { password: "wrong password", code: code() }),
    problem("unauthenticated"),
  );
  await signIn(r.access, "ann", { code: code() }); // a wrong password has not used it up
  await assert.rejects(signIn(r.access, "ann", { code: code() }), problem("unauthenticated"));
  const earlier = app.generate({ timestamp: r.clock.ms - 30_000 });
  await assert.rejects(signIn(r.access, "ann", { code: earlier }), problem("unauthenticated"));
  r.clock.ms += 30_000;
  await signIn(r.access, "ann", { code: code() });
});

Deno.test("two who use one code at the same moment are not both let in", async () => {
  await using r = await rig();
  await user(r.access, "ann");
  const { app } = await withApp(r);
  const code = app.generate({ timestamp: r.clock.ms });
  const both = await Promise.allSettled([
    signIn(r.access, "ann", { code }),
    signIn(r.access, "ann", { code }),
  ]);
  assert.deepEqual(both.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
});

Deno.test("each recovery code opens once", async () => {
  await using r = await rig();
  await user(r.access, "ann");
  const { recovery } = await withApp(r);
  assert.equal(new Set(recovery).size, 8);
  await signIn(r.access, "ann", { code: recovery[3]!.toUpperCase() });
  await assert.rejects(signIn(r.access, "ann", { code: recovery[3]! }), problem("unauthenticated"));
  await signIn(r.access, "ann", { code: recovery[4]! });
});

Deno.test("an authenticator counts only once it has shown that it has the secret", async () => {
  await using r = await rig();
  await user(r.access, "ann");
  r.access.totp.offer("ann");
  await assert.rejects(r.access.totp.confirm("ann", "000000"), problem("invalid"));
  assert.equal(r.access.users.get("ann")?.totp, false);
  await signIn(r.access, "ann");
  r.clock.ms += 11 * 60_000;
  assert.equal(r.access.totp.open("ann"), null);
  await assert.rejects(r.access.totp.confirm("ann", "000000"), problem("invalid"));
});

Deno.test("it can be turned off, and its recovery codes go with it", async () => {
  await using r = await rig();
  await user(r.access, "ann");
  await withApp(r);
  await r.access.users.change("ann", { totp: false }, "local");
  assert.equal(r.access.users.get("ann")?.totp, false);
  await signIn(r.access, "ann");
});

Deno.test("the QR code is an SVG without style or script", async () => {
  await using r = await rig();
  await user(r.access, "ann");
  const { svg, uri } = r.access.totp.offer("ann");
  assert.match(svg, /^<svg [^>]*viewBox="0 0 \d+ \d+"/);
  assert.ok(!/style|script|\son/.test(svg));
  assert.match(uri, /^otpauth:\/\/totp\/iservft-edge%20node-a:ann\?/);
});
