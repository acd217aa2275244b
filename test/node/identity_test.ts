import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { EdgeError } from "../../lib/errors.ts";
import { CERTIFICATE_NAME, makeCertifiedKey } from "../../lib/node/certificate.ts";
import { IDENTITY_FILE, openIdentity, readIdentity } from "../../lib/node/identity.ts";
import { nodeIdOf } from "../../lib/node_id.ts";

async function inDirectory(use: (directory: string) => void | Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await use(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("a certificate is whole, signed by its own key, no authority, and valid whatever the clock says", () => {
  const serials = new Set<string>();
  for (let i = 0; i < 20; i++) {
    const { key, certificate, der } = makeCertifiedKey();
    const parsed = new X509Certificate(certificate);
    assert.deepEqual(new Uint8Array(parsed.raw), der);
    assert.equal(parsed.verify(parsed.publicKey), true);
    assert.equal(parsed.checkPrivateKey(createPrivateKey(key)), true);
    assert.equal(parsed.ca, false);
    assert.equal(parsed.subject, `CN=${CERTIFICATE_NAME}`);
    assert.equal(parsed.subjectAltName, `DNS:${CERTIFICATE_NAME}`);
    assert.match(parsed.validFrom, /^Jan {2}1 00:00:00 2000 GMT/);
    assert.match(parsed.validTo, /^Dec 31 23:59:59 9999 GMT/);
    serials.add(parsed.serialNumber);
  }
  assert.equal(serials.size, 20);
});

Deno.test("an identity is made once, is its user's alone, and is the same ever after", async () => {
  await inDirectory((directory) => {
    const place = `${directory}/a/b`;
    assert.equal(readIdentity(place), null);
    const made = openIdentity(place);
    assert.deepEqual(openIdentity(place), made);
    assert.deepEqual(readIdentity(place), made);
    assert.equal(made.id, nodeIdOf(new X509Certificate(made.certificate).raw));
    assert.equal(Deno.statSync(`${place}/${IDENTITY_FILE}`).mode! & 0o777, 0o600);
    assert.equal(Deno.statSync(place).mode! & 0o777, 0o700);
    assert.deepEqual([...Deno.readDirSync(place)].map(({ name }) => name), [IDENTITY_FILE]);
    assert.notEqual(openIdentity(`${directory}/other`).id, made.id);
  });
});

Deno.test("several processes that make an identity in one directory at once come to the same one", async () => {
  await inDirectory(async (directory) => {
    const main = `${import.meta.dirname}/../../main.ts`;
    const said = await Promise.all([1, 2, 3].map(async () => {
      const { stdout } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--quiet", main, "identity", "--data", directory],
      }).output();
      return new TextDecoder().decode(stdout).trim();
    }));
    assert.deepEqual(said, Array(3).fill(readIdentity(directory)?.id));
  });
});

Deno.test("an identity that others may read, or that is damaged, is refused with what to do", async () => {
  await inDirectory((directory) => {
    openIdentity(directory);
    const file = `${directory}/${IDENTITY_FILE}`;
    const refuses = (problem: RegExp, hint: RegExp) =>
      assert.throws(() => openIdentity(directory), (error) => {
        assert.ok(error instanceof EdgeError);
        assert.match(error.message, problem);
        assert.match(error.hint, hint);
        return true;
      });
    Deno.chmodSync(file, 0o640);
    refuses(/may be read by others \(mode 640\)/, /chmod 600/);
    Deno.chmodSync(file, 0o600);
    const text = Deno.readTextFileSync(file);
    Deno.writeTextFileSync(file, "");
    refuses(/does not hold a private key and a certificate/, /paired anew/);
    Deno.writeTextFileSync(file, text.replace(/-----BEGIN CERTIFICATE[^]*/, ""));
    refuses(/does not hold/, /paired anew/);
    Deno.writeTextFileSync(file, text.replace(/(BEGIN CERTIFICATE-----\n)..../, "$1AAAA"));
    refuses(/is damaged/, /paired anew/);
    Deno.writeTextFileSync(file, makeCertifiedKey().key + text.slice(text.indexOf("-----BEGIN CERT")));
    refuses(/holds a key that is not its certificate's/, /paired anew/);
  });
});

Deno.test("a directory that cannot be written to is named", () => {
  assert.throws(() => openIdentity("/proc/nothing"), /No identity could be made in \/proc\/nothing/);
});
