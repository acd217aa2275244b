import { deepEqual, equal, match, ok } from "node:assert/strict";
import { createServer } from "node:tls";
import type { AddressInfo } from "node:net";
import { X509Certificate } from "node:crypto";
import { makeCertifiedKey } from "../../lib/node/certificate.ts";
import { listenWeb } from "../../ui/listen.ts";
import { apiRig } from "../ui/api/kit.ts";
import { runWords, sitting } from "./kit.ts";

/** A node with its real listener, and an administrator's token in a file. */
async function remoteRig() {
  const api = await apiRig();
  const directory = await Deno.makeTempDir();
  const web = await listenWeb({
    app: api.app,
    access: api.access,
    listen: { hostname: "127.0.0.1", port: 0 },
    certificates: { directory: `${directory}/tls`, make: makeCertifiedKey, names: () => ["localhost"] },
    socket: null,
    nowMs: () => performance.now(),
    log() {},
  });
  const tokenFile = `${directory}/token`;
  const { secret } = await api.access.tokens.create(
    { name: "cli", role: "administrator", days: null },
    "local",
  );
  await Deno.writeTextFile(tokenFile, `${secret}\n`, { mode: 0o600 });
  return {
    api,
    directory,
    tokenFile,
    secret,
    web,
    said: (words: string, given: { fingerprint?: string; port?: number; tokenFile?: string } = {}) =>
      runWords([
        ...words.split(" "),
        "--url",
        `https://127.0.0.1:${given.port ?? web.port()}`,
        "--token-file",
        given.tokenFile ?? tokenFile,
        "--fingerprint",
        given.fingerprint ?? web.certificate().fingerprint,
      ], { terminal: sitting(undefined, {}) }),
    async [Symbol.asyncDispose]() {
      await web[Symbol.asyncDispose]();
      await api[Symbol.asyncDispose]();
      await Deno.remove(directory, { recursive: true });
    },
  };
}

/** A TLS server with a certificate of its own that writes down what it is sent. */
async function stranger() {
  const { key, certificate } = makeCertifiedKey(["localhost"]);
  const heard: string[] = [];
  const server = createServer({ key, cert: certificate }, (socket) => {
    socket.on("data", (data) => {
      heard.push(data.toString());
      if (heard.join("").includes("\r\n\r\n")) socket.end("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
    });
    socket.on("error", () => {});
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  return {
    heard,
    port: (server.address() as AddressInfo).port,
    fingerprint: new X509Certificate(certificate).fingerprint256,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

Deno.test("another node is asked over TLS with a token, as its principal, by its certificate's fingerprint alone", async () => {
  await using rig = await remoteRig();
  const list = await rig.said("vm list --json");
  equal(list.code, 0, list.err.join("\n"));
  deepEqual(JSON.parse(list.text), JSON.parse(JSON.stringify(rig.api.backend.snapshot().vms)));
  equal((await rig.said("vm verify press-1")).code, 0);
  equal(rig.api.backend.calls.at(-1)?.actor, "token:cli");
  const spelled = rig.web.certificate().fingerprint.replaceAll(":", "").toLowerCase();
  equal((await rig.said("status --json", { fingerprint: `sha256:${spelled}` })).err.length, 0);
  equal((await rig.said("user add eve --password-file /dev/null")).code, 1, "accounts are for people");
});

Deno.test("a node with another certificate is sent nothing, and the command ends with 5", async () => {
  await using rig = await remoteRig();
  await using other = await stranger();
  const refused = await rig.said("vm list", { port: other.port });
  equal(refused.code, 5);
  match(refused.err.join("\n"), /has the certificate [0-9a-f]{64}, not/);
  deepEqual(other.heard, []);
  // The negative control: pinned to the stranger's own certificate, it does hear the token.
  const talked = await rig.said("vm list", { port: other.port, fingerprint: other.fingerprint });
  equal(talked.code, 1);
  ok(other.heard.join("").includes(rig.secret));
});

Deno.test("a token file that others may read is refused, and so is one without a token", async () => {
  await using rig = await remoteRig();
  const file = `${rig.directory}/open`;
  await Deno.writeTextFile(file, rig.secret);
  await Deno.chmod(file, 0o644);
  const open = await rig.said("vm list", { tokenFile: file });
  equal(open.code, 2);
  match(open.err.join("\n"), /chmod 600/);
  equal((await rig.said("vm list", { tokenFile: `${rig.directory}/none` })).code, 2);
  const wrong = `${rig.directory}/wrong`;
  await Deno.writeTextFile(wrong, "not-the-token-at-all", { mode: 0o600 });
  const unknown = await rig.said("vm list", { tokenFile: wrong });
  equal(unknown.code, 1);
  match(unknown.err.join("\n"), /token/);
});

Deno.test("a node that does not answer ends with 4; a fingerprint or URL that is none ends with 2", async () => {
  await using rig = await remoteRig();
  equal((await rig.said("vm list", { port: 1 })).code, 4);
  equal((await rig.said("vm list", { fingerprint: "abcd" })).code, 2);
  const http = await runWords(
    [
      "vm",
      "list",
      "--url",
      "http://127.0.0.1:1",
      "--token-file",
      rig.tokenFile,
      "--fingerprint",
      "0".repeat(64),
    ],
    { terminal: sitting(undefined, {}) },
  );
  equal(http.code, 2);
});
