import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { RefusedError } from "../../lib/errors.ts";
import {
  type BackupOptions,
  createBackup,
  isEncrypted,
  readBackup,
  restoreBackup,
} from "../../lib/node/backup.ts";
import { openDataDirectory } from "../../lib/node/data_directory.ts";
import { vmRecord } from "../../lib/node/vm/records.ts";
import { VmStore } from "../../lib/node/vm/store.ts";
import { openIdentity } from "../../lib/node/identity.ts";

const NOW = () => Date.UTC(2026, 0, 2, 3, 4, 5);

/** A node's data, with an account that is signed in, and a VM with a disk. */
class Node implements Disposable {
  readonly top = Deno.makeTempDirSync({ prefix: "iservft-backup-" });
  readonly data = `${this.top}/data`;
  readonly file = `${this.top}/node.backup`;
  readonly id: string;
  readonly db: DatabaseSync;

  constructor() {
    openDataDirectory(this.data, "0.1.0")[Symbol.dispose]();
    this.id = openIdentity(`${this.data}/identity`).id;
    this.put("pair.json", '{"peer":"right"}');
    this.put("pair.key", "ab".repeat(32));
    this.put("observe/alerts.json", '{"channels":[]}');
    this.put("observe/events.db", "history");
    this.put("vms/press-1/vm.toml", 'name = "press-1"\n');
    this.put(
      "vms/press-1/state.json",
      JSON.stringify({ settings: { name: "press-1" }, local: { held: true, images: ["x"] } }),
    );
    this.put("vms/press-1/disk0.img", "a disk");
    this.put("vms/press-1/group.meta", "who was primary");
    this.put("access/audit.log", '{"seq":1}\n');
    this.db = new DatabaseSync(`${this.data}/access/access.db`);
    this.db.exec(
      "pragma journal_mode = wal; create table users (name text); create table sessions (hash text)",
    );
    this.db.exec("insert into users values ('ann'); insert into sessions values ('stolen-cookie')");
  }

  put(path: string, content: string): void {
    Deno.mkdirSync(`${this.data}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true, mode: 0o700 });
    Deno.writeTextFileSync(`${this.data}/${path}`, content, { mode: 0o600 });
  }

  options(part: Partial<BackupOptions> = {}): BackupOptions {
    return { data: this.data, program: "0.1.0", node: "left", config: 'node = "left"\n', now: NOW, ...part };
  }

  [Symbol.dispose](): void {
    this.db.close();
    Deno.removeSync(this.top, { recursive: true });
  }
}

function names(directory: string, below = ""): string[] {
  return [...Deno.readDirSync(`${directory}/${below}`)].flatMap((entry) => {
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    return entry.isDirectory ? names(directory, path) : [path];
  }).sort();
}

Deno.test("a backup that is made while the node runs makes another machine the same node, without disks and without sessions", async () => {
  using node = new Node();
  const manifest = await createBackup(node.file, node.options());
  assert.deepEqual([manifest.id, manifest.node, manifest.layout], [node.id, "left", 1]);
  assert.equal(Deno.statSync(node.file).mode! & 0o777, 0o600);
  const fresh = `${node.top}/fresh`;
  const restored = restoreBackup(await readBackup(node.file), { data: fresh, force: false });
  assert.deepEqual(restored, { movedTo: null, config: 'node = "left"\n' });
  assert.deepEqual(names(fresh), [
    "access/access.db",
    "access/audit.log",
    "identity/identity.pem",
    "layout.json",
    "observe/alerts.json",
    "pair.json",
    "pair.key",
    "vms/press-1/state.json",
    "vms/press-1/vm.toml",
  ]);
  for (const path of names(fresh)) assert.equal(Deno.statSync(`${fresh}/${path}`).mode! & 0o777, 0o600, path);
  assert.equal(Deno.statSync(fresh).mode! & 0o777, 0o700);
  assert.equal(openIdentity(`${fresh}/identity`).id, node.id);
  openDataDirectory(fresh, "0.1.0")[Symbol.dispose]();
  const db = new DatabaseSync(`${fresh}/access/access.db`);
  assert.deepEqual(db.prepare("select name from users").all().map((row) => row.name), ["ann"]);
  assert.deepEqual(db.prepare("select * from sessions").all(), []);
  db.close();
  assert.ok(
    !new TextDecoder("latin1").decode(Deno.readFileSync(`${fresh}/access/access.db`)).includes(
      "stolen-cookie",
    ),
  );
  const state = JSON.parse(Deno.readTextFileSync(`${fresh}/vms/press-1/state.json`));
  assert.deepEqual(state, { settings: { name: "press-1" } }, "it does not believe to have disks");
});

Deno.test("a VM of a restored node is known with its settings, and as one that was never here", async () => {
  using node = new Node();
  Deno.removeSync(`${node.data}/vms/press-1`, { recursive: true });
  const store = new VmStore(`${node.data}/vms`);
  const file = 'name = "press-1"\nmemory = 64\n';
  const record = vmRecord.parse({
    uuid: crypto.randomUUID(),
    name: "press-1",
    revision: 3,
    by: node.id,
    at: "2026-01-01T00:00:00Z",
    file,
    active: file,
    starts: 1,
    disks: [512],
    number: 0,
    wanted: { running: true, protected: true },
  });
  store.put(record);
  store.note("press-1", {
    begin: true,
    held: true,
    peer_has: 3,
    images: [`${node.data}/vms/press-1/disk0.img`],
  });
  await createBackup(node.file, node.options());
  restoreBackup(await readBackup(node.file), { data: `${node.top}/fresh`, force: false });
  const kept = new VmStore(`${node.top}/fresh/vms`).get("press-1");
  assert.deepEqual(kept?.record, record);
  const { begin, held, images } = kept!.local;
  assert.deepEqual({ begin, held, images }, { begin: false, held: false, images: [] });
});

Deno.test("an encrypted backup shows nothing, and opens with its passphrase", async () => {
  using node = new Node();
  const cost = { n: 4, r: 8, p: 1 };
  await createBackup(node.file, node.options({ passphrase: "correct horse", cost }));
  assert.ok(isEncrypted(node.file));
  await assert.rejects(readBackup(node.file), /encrypted/);
  await assert.rejects(readBackup(node.file, { passphrase: "wrong horse!" }), /passphrase is wrong/);
  assert.equal((await readBackup(node.file, { passphrase: "correct horse" })).manifest.id, node.id);
});

Deno.test("a restore never removes what is there: it is refused, or moved aside when that is said", async () => {
  using node = new Node();
  await createBackup(node.file, node.options());
  const backup = await readBackup(node.file);
  const before = names(node.data);
  assert.throws(
    () => restoreBackup(backup, { data: node.data, force: false }),
    (error) => error instanceof RefusedError && /not empty/.test(error.message),
  );
  {
    using _serve = openDataDirectory(node.data, "0.1.0");
    assert.throws(() => restoreBackup(backup, { data: node.data, force: true }), /serve runs/);
  }
  const { movedTo } = restoreBackup(backup, { data: node.data, force: true, now: NOW });
  assert.equal(movedTo, `${node.data}.before-restore-20260102T030405`);
  assert.deepEqual(names(movedTo!), before);
  assert.ok(names(node.data).includes("pair.key"));
  assert.deepEqual([...Deno.readDirSync(node.top)].filter((entry) => entry.name.includes("restoring")), []);
});

Deno.test("a backup that is damaged, cut off, of a newer program or none at all is refused, and nothing is touched", async () => {
  using node = new Node();
  await createBackup(node.file, node.options());
  await assert.rejects(createBackup(node.file, node.options()), /there already/);
  await assert.rejects(
    createBackup(`${node.top}/other`, node.options({ data: node.top })),
    /no data directory/,
  );
  const backup = await readBackup(node.file);
  const fresh = `${node.top}/fresh`;
  const newer = { ...backup, manifest: { ...backup.manifest, layout: 99, program: "9.0.0" } };
  assert.throws(
    () => restoreBackup(newer, { data: fresh, force: false }),
    /newer iservft-edge \(9\.0\.0\).*layout 99/,
  );
  const bytes = Deno.readFileSync(node.file);
  Deno.writeFileSync(`${node.top}/cut`, bytes.subarray(0, bytes.length / 2));
  await assert.rejects(readBackup(`${node.top}/cut`));
  Deno.writeTextFileSync(`${node.top}/none`, "hello");
  await assert.rejects(readBackup(`${node.top}/none`), /gzip/);
  const { tarGzip, collect, readTar, gunzip } = await import("../../lib/node/archive/tar.ts");
  const entries = readTar(await gunzip(bytes));
  const repack = async (name: string, change: (path: string, content: string) => string, extra?: string) => {
    async function* all() {
      for (const { path, bytes } of entries) {
        yield {
          path,
          bytes: path.endsWith(".db")
            ? bytes
            : new TextEncoder().encode(change(path, new TextDecoder().decode(bytes))),
        };
      }
      if (extra !== undefined) yield { path: extra, bytes: new Uint8Array(1) };
    }
    Deno.writeFileSync(`${node.top}/${name}`, await collect(tarGzip(all(), 0)));
    return `${node.top}/${name}`;
  };
  await readBackup(await repack("same", (_, content) => content));
  const changed = await repack(
    "changed",
    (path, content) => path.endsWith("pair.key") ? "cd".repeat(32) : content,
  );
  await assert.rejects(readBackup(changed), /pair\.key is not what it was/);
  await assert.rejects(
    readBackup(await repack("more", (_, content) => content, "data/vms/x/disk0.img")),
    /which no backup has/,
  );
  const format = (path: string, content: string) =>
    path === "manifest.json" ? content.replace('"format": 1', '"format": 2') : content;
  await assert.rejects(readBackup(await repack("format", format)), /format 2/);
  assert.throws(() => Deno.statSync(fresh), Deno.errors.NotFound);
});
