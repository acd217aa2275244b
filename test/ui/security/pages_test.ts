import assert from "node:assert/strict";
import { type TOTP, URI } from "otpauth";
import type { Access } from "../../../lib/access/types.ts";
import { FRESH_MS } from "../../../lib/access/sessions.ts";
import { returnPath } from "../../../ui/security/return_path.ts";
import { PASSWORD, type Rig, rig, signIn, user } from "../../access/kit.ts";
import { FakeBackend } from "../fake_backend.ts";
import { appOf } from "./kit.ts";

const ORIGIN = "https://localhost";

/** A browser without scripts: keeps the cookie, sends what a form sends. */
function browser(access: Access, options: { language?: string; address?: string } = {}) {
  const app = appOf(access, {
    backend: new FakeBackend(),
    fingerprint: () => "AB:CD",
  });
  const env = { peer: { kind: "tcp", address: options.address ?? "127.0.0.1" } } as const;
  let cookie = "";
  const headers = () => ({
    accept: "text/html",
    "accept-language": options.language ?? "en",
    "sec-fetch-site": "same-origin",
    ...(cookie === "" ? {} : { cookie }),
  });
  const keep = (response: Response) => {
    for (const set of response.headers.getSetCookie()) {
      const [pair = ""] = set.split(";");
      cookie = /max-age=0/i.test(set) ? "" : pair;
    }
    return response;
  };
  return {
    cookie: () => cookie,
    get: async (path: string) => keep(await app.request(`${ORIGIN}${path}`, { headers: headers() }, env)),
    post: async (path: string, fields: Record<string, string> = {}, from = "/account") =>
      keep(
        await app.request(`${ORIGIN}${path}`, {
          method: "POST",
          headers: {
            ...headers(),
            origin: ORIGIN,
            referer: `${ORIGIN}${from}`,
            "content-type": "application/x-www-form-urlencoded",
            "content-length": String(new URLSearchParams(fields).toString().length),
          },
          body: new URLSearchParams(fields).toString(),
        }, env),
      ),
  };
}

async function signedIn(r: Rig) {
  const b = browser(r.access);
  await user(r.access, "ann", "administrator");
  await b.post("/login", { name: "ann", password: PASSWORD, code: "", next: "/" });
  return b;
}

Deno.test("signing in by the form gives a cookie that no script, no other site and no plain connection gets", async () => {
  await using r = await rig();
  await user(r.access, "ann", "administrator");
  const b = browser(r.access);
  const first = await b.get("/vms?x=1");
  assert.deepEqual([first.status, first.headers.get("location")], [303, "/login?next=%2Fvms%3Fx%3D1"]);
  const answer = await b.post("/login", { name: " Ann ", password: PASSWORD, code: "", next: "/vms?x=1" });
  assert.deepEqual([answer.status, answer.headers.get("location")], [303, "/vms?x=1"]);
  assert.match(
    answer.headers.get("set-cookie")!,
    /^__Host-iservft=[\w-]{43}; Path=\/; HttpOnly; Secure; SameSite=Strict$/,
  );
  assert.equal((await b.get("/")).status, 200);
});

Deno.test("a wrong password says so in the reader's language, and not which part was wrong", async () => {
  await using r = await rig();
  await user(r.access, "ann", "administrator");
  const say = async (language: string, fields: Record<string, string>) => {
    const answer = await browser(r.access, { language }).post("/login", { code: "", next: "/", ...fields });
    return [answer.status, /problem-title">.*?<span>([^<]*)<\/span>/s.exec(await answer.text())?.[1]];
  };
  const wrong = [401, "Name, password or code is wrong."];
  assert.deepEqual(await say("en", { name: "ann", password: "x" }), wrong);
  assert.deepEqual(await say("en", { name: "nobody", password: "x" }), wrong);
  assert.deepEqual(await say("zh-TW", { name: "ann", password: "x" }), [401, "名稱、密碼或驗證碼錯誤。"]);
});

Deno.test("after signing in nobody is sent to another site", () => {
  for (
    const bad of [
      "//evil.example",
      "/\\evil.example",
      "https://evil.example",
      "\\evil",
      "/ x",
      "/a\nb",
      "javascript:1",
      "/a\\b",
      undefined,
    ]
  ) {
    assert.equal(returnPath(bad), "/", bad);
  }
  assert.equal(returnPath("/vms/x?tab=a"), "/vms/x?tab=a");
});

Deno.test("a session that somebody planted in the browser does not become the user's", async () => {
  await using r = await rig();
  await user(r.access, "eve", "operator");
  await user(r.access, "ann", "administrator");
  const b = browser(r.access);
  await b.post("/login", { name: "eve", password: PASSWORD, code: "", next: "/" });
  const planted = b.cookie();
  await b.post("/login", { name: "ann", password: PASSWORD, code: "", next: "/" });
  assert.notEqual(b.cookie(), planted);
  assert.equal(r.access.sessions.find(planted.split("=")[1]!), null);
});

Deno.test("the one-time link makes the first administrator, in the language that was chosen", async () => {
  await using r = await rig();
  const b = browser(r.access);
  assert.equal((await b.get("/")).headers.get("location"), "/setup");
  assert.equal((await b.get("/setup")).status, 403);
  const token = r.access.setup.token()!;
  const page = await b.get(`/setup?token=${token}`);
  assert.match(await page.text(), /AB:CD/);
  const fields = { token, name: "ann", new: PASSWORD, again: PASSWORD, language: "zh-TW" };
  assert.equal((await b.post("/setup", { ...fields, token: "x".repeat(43) })).status, 403);
  const differ = await b.post("/setup", { ...fields, again: "something else" });
  assert.match(await differ.text(), /The two passwords are not the same/);
  assert.equal((await b.post("/setup", fields)).headers.get("location"), "/");
  assert.equal(r.access.users.get("ann")?.role, "administrator");
  assert.match(await (await b.get("/account")).text(), /lang="zh-Hant-TW"/);
  assert.equal((await b.get(`/setup?token=${token}`)).headers.get("location"), "/login");
});

Deno.test("before there is an administrator nothing is answered to other machines", async () => {
  await using r = await rig();
  const b = browser(r.access, { address: "192.0.2.9" });
  const token = r.access.setup.token()!;
  assert.equal((await b.get(`/setup?token=${token}`)).status, 403);
  const fields = { token, name: "eve", new: PASSWORD, again: PASSWORD, language: "en" };
  assert.equal((await b.post("/setup", fields)).status, 403);
  assert.equal(r.access.setup.needed(), true);
});

Deno.test("a new password ends every session and is needed for the next", async () => {
  await using r = await rig();
  const b = await signedIn(r);
  const other = (await signIn(r.access, "ann")).secret;
  const change = (fields: Record<string, string>) =>
    b.post("/account/password", {
      old: PASSWORD,
      new: "another long one",
      again: "another long one",
      ...fields,
    });
  assert.equal((await change({ old: "wrong" })).status, 401);
  assert.equal((await change({ again: "different" })).status, 400);
  assert.equal((await change({ new: "short", again: "short" })).status, 400);
  assert.notEqual(r.access.sessions.find(other), null);
  assert.equal((await change({})).headers.get("location"), "/login?changed=1");
  assert.equal(r.access.sessions.find(other), null);
  assert.equal((await b.get("/account")).status, 303);
  assert.equal(
    (await b.post("/login", { name: "ann", password: "another long one", code: "", next: "/" })).status,
    303,
  );
});

Deno.test("an authenticator is set up and turned off with the password fresh, without scripts", async () => {
  await using r = await rig();
  const b = await signedIn(r);
  r.clock.ms += FRESH_MS;
  assert.equal((await b.post("/account/totp")).headers.get("location"), "/reauthenticate?next=%2Faccount");
  assert.equal((await b.post("/reauthenticate", { password: "wrong", next: "/account" })).status, 401);
  assert.equal(
    (await b.post("/reauthenticate", { password: PASSWORD, next: "/account" })).headers.get("location"),
    "/account",
  );
  assert.equal((await b.post("/account/totp")).status, 303);
  const page = await (await b.get("/account")).text();
  const secret = /<code>([A-Z2-7 ]{32,})<\/code>/.exec(page)![1]!;
  assert.match(page, /<svg xmlns/);
  const app = URI.parse(`otpauth://totp/x?secret=${secret.replaceAll(" ", "")}`) as TOTP;
  assert.equal((await b.post("/account/totp/confirm", { code: "000000" })).status, 400);
  const codes =
    await (await b.post("/account/totp/confirm", { code: app.generate({ timestamp: r.clock.ms }) })).text();
  assert.equal(codes.match(/<code>[a-z2-7]{4}(-[a-z2-7]{4}){3}<\/code>/g)?.length, 8);
  assert.equal(r.access.users.get("ann")?.totp, true);
  assert.equal((await b.post("/account/totp/remove")).status, 303);
  assert.equal(r.access.users.get("ann")?.totp, false);
});

Deno.test("sessions are listed, ended one by one, and all together", async () => {
  await using r = await rig();
  const b = await signedIn(r);
  const [one, two] = [await signIn(r.access, "ann"), await signIn(r.access, "ann")];
  assert.match(await (await b.get("/account")).text(), new RegExp(one.session.id));
  await b.post("/account/sessions/end", { id: one.session.id });
  assert.deepEqual([r.access.sessions.find(one.secret), r.access.sessions.find(two.secret) === null], [
    null,
    false,
  ]);
  assert.equal((await b.post("/account/sessions/end-all")).headers.get("location"), "/login");
  assert.equal(r.access.sessions.find(two.secret), null);
  assert.equal((await b.get("/account")).status, 303);
});

Deno.test("signing out ends the session here, not only the cookie there", async () => {
  await using r = await rig();
  const b = await signedIn(r);
  const secret = b.cookie().split("=")[1]!;
  assert.equal((await b.post("/logout")).headers.get("location"), "/login");
  assert.equal(b.cookie(), "");
  assert.equal(r.access.sessions.find(secret), null);
});

Deno.test("these pages have no inline style or script, and every answer has the headers", async () => {
  await using r = await rig();
  const b = await signedIn(r);
  r.access.totp.offer("ann");
  r.clock.ms += FRESH_MS;
  // Where a form is shown again the page can be loaded again.
  for (const path of ["/account/password", "/account/totp/confirm"]) {
    assert.equal((await b.get(path)).status, 200);
  }
  for (const path of ["/account", "/reauthenticate", "/nothing"]) {
    const answer = await b.get(path);
    const text = await answer.text();
    assert.ok(!/\sstyle=|\son[a-z]+=|<style|<script(?![^>]*\ssrc=)/.test(text), path);
    const csp = answer.headers.get("content-security-policy")!;
    assert.match(csp, /default-src 'none'; script-src 'self'; /);
    assert.ok(!csp.includes("unsafe"));
    assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
    assert.equal(answer.headers.get("cache-control"), "no-store");
    assert.equal(answer.headers.get("strict-transport-security"), null);
  }
});
