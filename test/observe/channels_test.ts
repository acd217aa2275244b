import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { SMTPServer } from "smtp-server";
import type { AlertChannel } from "../../lib/model/alerts.ts";
import type { AlertMessage } from "../../lib/observe/alerts/message.ts";
import { send } from "../../lib/observe/alerts/send.ts";
import { signature } from "../../lib/observe/alerts/send_webhook.ts";
import { certificate, deadPort, email, Inbox, message, syslog, webhook } from "./alert_kit.ts";

const tell = (channel: AlertChannel, what: AlertMessage = message()) =>
  send(what, channel, AbortSignal.timeout(10_000));

interface Mail {
  secure: boolean;
  user: string | null;
  from: string;
  to: string[];
  text: string;
}

/** A mail server on loopback. */
async function mailServer(
  options: Record<string, unknown>,
): Promise<{ port: number; inbox: Inbox<Mail> } & AsyncDisposable> {
  const inbox = new Inbox<Mail>();
  const server = new SMTPServer({
    authOptional: true,
    logger: false,
    closeTimeout: 100,
    onAuth: ({ username, password }, _session, done) =>
      password === "hunter22" ? done(null, { user: username ?? "" }) : done(new Error("wrong password")),
    onRcptTo: ({ address }, _session, done) =>
      address.startsWith("nobody") ? done(new Error("no such mailbox")) : done(),
    onData: (stream, session, done) => {
      const parts: Uint8Array[] = [];
      stream.on("data", (part: Uint8Array) => parts.push(part));
      stream.on("end", () => {
        const { mailFrom, rcptTo } = session.envelope;
        inbox.put({
          secure: session.secure,
          user: (session.user as string | undefined) ?? null,
          from: mailFrom === false ? "" : mailFrom!.address,
          to: rcptTo.map(({ address }) => address),
          text: new TextDecoder().decode(new Uint8Array(parts.flatMap((part) => [...part]))),
        });
        done(null, "it is queued");
      });
    },
    ...options,
  });
  server.on("error", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  return {
    port: (server.server.address() as { port: number }).port,
    inbox,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

Deno.test("e-mail: STARTTLS, a password, several addresses, Chinese; and the server's answer comes back", async () => {
  const { key, cert } = await certificate();
  await using server = await mailServer({ key, cert });
  const channel = email({
    ...{ port: server.port, security: "starttls", user: "edge", password: "hunter22", ca: cert },
    to: ["ann@plant.test", "bob@plant.test"],
  });
  assert.match(await tell(channel), /the server took it: 250 .*queued/);
  const [mail] = await server.inbox.until(1);
  assert.equal(mail!.secure, true);
  assert.equal(mail!.user, "edge");
  assert.deepEqual(mail!.to, ["ann@plant.test", "bob@plant.test"]);
  assert.match(mail!.text, /^Subject: =\?UTF-8\?/m);
  assert.match(mail!.text, /^From: "?iservft-edge"? <edge@plant\.test>\r$/m);
  assert.match(mail!.text, /^Auto-Submitted: auto-generated\r$/m);
});

Deno.test("e-mail: TLS from the start", async () => {
  const { key, cert } = await certificate();
  await using server = await mailServer({ key, cert, secure: true });
  await tell(email({ port: server.port, security: "tls", ca: cert }));
  assert.equal((await server.inbox.until(1))[0]!.secure, true);
});

Deno.test("e-mail: without STARTTLS nothing is sent where it is set, and without TLS only where that is set (control)", async () => {
  await using server = await mailServer({ disabledCommands: ["STARTTLS", "AUTH"] });
  await assert.rejects(tell(email({ port: server.port, security: "starttls" })), /STARTTLS|TLS/i);
  assert.equal(server.inbox.all.length, 0);
  await tell(email({ port: server.port, security: "none" }));
  assert.equal((await server.inbox.until(1))[0]!.secure, false);
});

Deno.test("e-mail: a stranger's certificate, a wrong password, a mailbox that is not there and a dead server are said", async () => {
  const { key, cert } = await certificate();
  const other = await certificate();
  await using server = await mailServer({ key, cert });
  const base = { port: server.port, security: "starttls", ca: cert } as const;
  await assert.rejects(tell(email({ ...base, ca: other.cert })), /certificate/i);
  await assert.rejects(tell(email({ ...base, ca: undefined })), /certificate/i);
  await assert.rejects(tell(email({ ...base, user: "edge", password: "wrong" })), /Invalid login|535/);
  await assert.rejects(tell(email({ ...base, to: ["nobody@plant.test"] })), /no such mailbox|rejected/);
  assert.equal(server.inbox.all.length, 0);
  await assert.rejects(tell(email({ port: deadPort(), security: "none" })), /refused/i);
});

Deno.test("e-mail: line ends in a VM's name make no header and no address", async () => {
  await using server = await mailServer({ disabledCommands: ["STARTTLS", "AUTH"] });
  await tell(
    email({ port: server.port, security: "none" }),
    message({
      text: "x\r\nBcc: all@evil.test\r\n\r\n.\r\nMAIL FROM:<x>",
      key: "vm/x\r\nX-Other: y",
      node: "a\r\nX-Other: y",
    }),
  );
  const [mail] = await server.inbox.until(1);
  assert.deepEqual(mail!.to, ["ann@plant.test"]);
  const head = mail!.text.split("\r\n\r\n")[0]!;
  assert.doesNotMatch(head, /^(Bcc|X-Other):/m);
});

/** A web server on loopback. */
function webServer(
  answer: (request: { signed: string | null; body: string }) => Response,
  tls: { key: string; cert: string } | null = null,
): { url: string; inbox: Inbox<{ signed: string | null; body: string }> } & AsyncDisposable {
  const inbox = new Inbox<{ signed: string | null; body: string }>();
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {}, ...(tls ?? {}) },
    async (request) => {
      const heard = { signed: request.headers.get("x-iservft-signature"), body: await request.text() };
      inbox.put(heard);
      return answer(heard);
    },
  );
  const { port } = server.addr as Deno.NetAddr;
  return {
    url: `http${tls === null ? "" : "s"}://127.0.0.1:${port}/alerts`,
    inbox,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

Deno.test("webhook: signed JSON, which a receiver with another secret refuses", async () => {
  let secret = "s3cret";
  await using server = webServer(({ signed, body }) =>
    new Response(null, { status: signed === signature(body, secret) ? 204 : 403 })
  );
  const channel = webhook(server.url, { secret: "s3cret" });
  const sent = message();
  assert.match(await tell(channel, sent), /status 204/);
  assert.deepEqual(JSON.parse((await server.inbox.until(1))[0]!.body), sent);
  secret = "another";
  await assert.rejects(tell(channel), /status 403/);
  await tell(webhook(server.url)).catch(() => {});
  assert.equal((await server.inbox.until(3))[2]!.signed, null);
});

Deno.test("webhook: a redirect is not followed, a failing or dead receiver is said", async () => {
  await using elsewhere = webServer(() => new Response());
  await using server = webServer(() => Response.redirect(elsewhere.url, 307));
  await assert.rejects(tell(webhook(server.url, { secret: "x" })), /not followed/);
  assert.equal(elsewhere.inbox.all.length, 0);
  await using broken = webServer(() => new Response("no", { status: 500 }));
  await assert.rejects(tell(webhook(broken.url)), /status 500/);
  await assert.rejects(tell(webhook(`http://127.0.0.1:${deadPort()}/`)), /refused|sending request/);
});

Deno.test("webhook: by TLS with a certificate that is given, and not with a stranger's", async () => {
  const tls = await certificate();
  const other = await certificate();
  await using server = webServer(() => new Response(), tls);
  await tell(webhook(server.url, { ca: tls.cert }));
  await assert.rejects(tell(webhook(server.url, { ca: other.cert })), /certificate|sending request/);
  await assert.rejects(tell(webhook(server.url)), /certificate|sending request/);
  assert.equal(server.inbox.all.length, 1);
});

Deno.test("webhook: a receiver that never answers ends with the attempt", async () => {
  const stop = new AbortController();
  const server = createServer((socket) =>
    socket.on("data", () => stop.abort(new Error("too late"))).on("error", () => {})
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const { port } = server.address() as { port: number };
  await assert.rejects(send(message(), webhook(`http://127.0.0.1:${port}/`), stop.signal), /too late/);
  await new Promise<void>((resolve) => server.close(() => resolve()));
});

const RFC5424 =
  /^<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\S{1,255}) iservft-edge (\d+) (\S{1,32}) \[iservft@32473( [a-z]+="(?:[^"\\\]]|\\["\\\]])*")+\] \ufeff(.*)$/u;
const decode = (bytes: Uint8Array) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);

Deno.test("syslog over UDP: one datagram of RFC 5424", async () => {
  const socket = createSocket("udp4");
  const inbox = new Inbox<string>();
  socket.on("message", (bytes) => inbox.put(decode(bytes)));
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", () => resolve()));
  await tell(syslog(socket.address().port));
  await tell(syslog(socket.address().port), message({ kind: "cleared" }));
  const [first, second] = (await inbox.until(2)).map((line) => RFC5424.exec(line));
  assert.deepEqual([first?.[1], first?.[3], first?.[5]], ["26", "press-a", "alert.vm_failed"]);
  assert.equal(first?.[7], "[press-a] CRITICAL: VM press-1 should run, and does not. 狀態");
  assert.equal(second?.[1], "29");
  await new Promise<void>((resolve) => socket.close(() => resolve()));
});

Deno.test("syslog over TCP: counted in bytes; a dead receiver is said", async () => {
  const inbox = new Inbox<Uint8Array>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const parts: number[] = [];
    socket.on("data", (part: Uint8Array) => parts.push(...part));
    socket.on("end", () => {
      inbox.put(new Uint8Array(parts));
      socket.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const { port } = server.address() as { port: number };
  await tell(syslog(port, { protocol: "tcp" }), message({ text: "two\nlines 狀態" }));
  const [bytes] = await inbox.until(1);
  const space = bytes!.indexOf(0x20);
  assert.equal(Number(decode(bytes!.subarray(0, space))), bytes!.length - space - 1);
  assert.match(decode(bytes!.subarray(space + 1)), RFC5424);
  await new Promise<void>((resolve) => server.close(() => resolve()));
  await assert.rejects(tell(syslog(deadPort(), { protocol: "tcp" })), /ECONNREFUSED|refused/i);
});
