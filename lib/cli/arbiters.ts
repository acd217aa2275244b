/** A runner's way to an arbiter elsewhere, by its host's file. */

import type { RemoteArbiter } from "../group/remote_arbiter.ts";
import { openIdentity } from "../node/identity.ts";
import { type HostConfig, readSecret } from "../vm/host_config.ts";
import type { VmSpec } from "../vm/spec.ts";
import { readInput } from "../vm/toml.ts";
import { WitnessClient } from "../witness/client.ts";
import { EtcdArbiter } from "../witness/etcd.ts";
import { VERSION } from "./version.ts";

/** Which arbiter, and where it keeps this VM's grants: the same on both hosts. */
export function arbiterKey(spec: VmSpec, { arbiter, witness, etcd }: HostConfig): string {
  if (arbiter === "witness" && witness !== undefined) return `witness ${witness.id} ${witness.pair}`;
  if (arbiter === "etcd" && etcd !== undefined) return `etcd ${etcd.prefix}/${etcd.pair}/${spec.name}`;
  return arbiter;
}

/** The arbiter elsewhere; undefined when none decides. Throws InputError when one of its files is not as it must be. */
export function openArbiter(spec: VmSpec, host: HostConfig): RemoteArbiter | undefined {
  if (host.arbiter === "witness" && host.witness !== undefined) {
    const { identity, ...rest } = host.witness;
    return new WitnessClient({ ...rest, vm: spec.name, identity: openIdentity(identity), version: VERSION });
  }
  if (host.arbiter === "etcd" && host.etcd !== undefined) {
    return openEtcd(spec, { node: host.node, etcd: host.etcd });
  }
  return undefined;
}

function openEtcd(
  spec: VmSpec,
  { node, etcd }: { node: string; etcd: NonNullable<HostConfig["etcd"]> },
): EtcdArbiter {
  const { endpoints, prefix, pair, ca, certificate, private_key, user, password_file } = etcd;
  const read = (file: string | undefined) => file === undefined ? undefined : readInput(file).text;
  const secret = (file: string | undefined, then: string) =>
    file === undefined ? undefined : readSecret(file, then);
  const password = secret(password_file, "give the user another password")?.replace(/\r?\n$/, "");
  return new EtcdArbiter({
    endpoints,
    key: `${prefix}/${pair}/${spec.name}`,
    node,
    ca: read(ca),
    certificate: read(certificate),
    privateKey: secret(private_key, "make another key and certificate"),
    user: user === undefined || password === undefined ? undefined : { name: user, password },
  });
}
