/** The certificate of the web pages. Without one of the user's, the node makes one that signs itself: browsers warn, and the fingerprint
 * that the terminal shows says whether it is the right one.
 *
 *   DATA/tls/cert.pem, key.pem   the user's own, which count before ours; taken up within seconds when they change
 *   DATA/tls/self.pem            ours: key and certificate, 0600 */

import { createHash, createPrivateKey, X509Certificate } from "node:crypto";
import { makeDurableDirectory } from "../../lib/durable_directory.ts";
import { EdgeError } from "../../lib/errors.ts";

/** A key and its certificate (with those that signed it), PEM. */
export interface WebCertificate {
  key: string;
  certificate: string;
  /** SHA-256 of the certificate, as browsers show it: AB:CD:… */
  fingerprint: string;
  /** "self": made here; "own": the user's. */
  kind: "self" | "own";
  notAfter: string;
}

/** Where certificates come from. */
export interface CertificateSource {
  /** DATA/tls. */
  directory: string;
  /** Makes one that signs itself. */
  make(names: string[]): { key: string; certificate: string };
  /** What the node is reached by, for the certificate that is made. */
  names(): string[];
}

function check(
  pair: { key: string; certificate: string },
  options: { file: string; kind: "self" | "own" },
): WebCertificate {
  const hint = options.kind === "self"
    ? "Remove it: a new one is made."
    : "Put a certificate and the key that belongs to it there, both as PEM, or remove both.";
  let parsed: X509Certificate;
  let fits: boolean;
  try {
    parsed = new X509Certificate(pair.certificate);
    fits = parsed.checkPrivateKey(createPrivateKey(pair.key));
  } catch (cause) {
    throw new EdgeError(`${options.file} cannot be read as a certificate and a key`, {
      op: "read the certificate of the web pages",
      hint,
      cause,
    });
  }
  if (!fits) {
    throw new EdgeError(`The key in ${options.file} is not the certificate's`, {
      op: "read the certificate of the web pages",
      hint,
    });
  }
  const hex = createHash("sha256").update(parsed.raw).digest("hex").toUpperCase();
  return {
    ...pair,
    fingerprint: hex.match(/../g)!.join(":"),
    kind: options.kind,
    notAfter: parsed.validTo,
  };
}

function read(file: string): string | null {
  try {
    return Deno.readTextFileSync(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw new EdgeError(`${file} cannot be read`, {
      op: "read the certificate of the web pages",
      hint: "Make it readable for the user that the service runs as.",
      cause: error,
    });
  }
}

function own({ directory }: CertificateSource): WebCertificate | null {
  const [certificate, key] = [read(`${directory}/cert.pem`), read(`${directory}/key.pem`)];
  if (certificate === null && key === null) return null;
  return check({ certificate: certificate ?? "", key: key ?? "" }, {
    file: `${directory}/cert.pem`,
    kind: "own",
  });
}

/** Ours, which is made when there is none. */
export function selfCertificate(source: CertificateSource): WebCertificate {
  const file = `${source.directory}/self.pem`;
  const text = read(file);
  if (text !== null) {
    const block = (kind: string) =>
      new RegExp(`-----BEGIN ${kind}-----[^-]+-----END ${kind}-----\n`).exec(text)?.[0];
    return check({ key: block("PRIVATE KEY") ?? "", certificate: block("CERTIFICATE") ?? "" }, {
      file,
      kind: "self",
    });
  }
  const made = source.make(source.names());
  makeDurableDirectory(source.directory, 0o700);
  const part = `${file}.${crypto.randomUUID()}`;
  Deno.writeTextFileSync(part, made.key + made.certificate, { mode: 0o600, createNew: true });
  Deno.renameSync(part, file);
  return check(made, { file, kind: "self" });
}

/** The certificate to use now: the user's, else ours, which is made when there is none. Throws when the user's is no good. */
export function readCertificate(source: CertificateSource): WebCertificate {
  return own(source) ?? selfCertificate(source);
}

/** The same, for a node that starts: it is reachable also when the user's is no good, which is said. */
export function readCertificateAtStart(
  source: CertificateSource,
  log: (message: string) => void,
): WebCertificate {
  try {
    return readCertificate(source);
  } catch (error) {
    if (!(error instanceof EdgeError)) throw error;
    log(`${error.message}; the node's own certificate is used. ${error.hint}`);
    return selfCertificate(source);
  }
}

/** Changes when the user's files change. */
export function certificateStamp({ directory }: CertificateSource): string {
  return ["cert.pem", "key.pem"].map((name) => {
    try {
      const { mtime, size, ino } = Deno.statSync(`${directory}/${name}`);
      return `${mtime?.getTime()} ${size} ${ino}`;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return "";
      return String(error);
    }
  }).join(", ");
}
