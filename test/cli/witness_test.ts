import assert from "node:assert/strict";
import { runCommand } from "../../lib/cli/command.ts";
import { run as identity } from "../../lib/cli/identity.ts";
import { run as witness } from "../../lib/cli/witness.ts";
import { openDataDirectory } from "../../lib/node/data_directory.ts";
import { openIdentity, readIdentity } from "../../lib/node/identity.ts";
import { readNodeId } from "../../lib/node_id.ts";
import { grantFile } from "../../lib/witness/store.ts";
import { clientOf, newIdentity, OwnProcess, until } from "../witness/kit.ts";

const [a, b, c] = [newIdentity(), newIdentity(), newIdentity()];

/** Runs a command as main.ts does. */
async function said(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const [out, err]: [string[], string[]] = [[], []];
  const io = { out: (line: string) => out.push(line), err: (line: string) => err.push(line) };
  const commands = [
    { name: "witness", summary: "", load: () => Promise.resolve({ run: witness }) },
    { name: "identity", summary: "", load: () => Promise.resolve({ run: identity }) },
  ];
  const code = await runCommand(commands, { args, io });
  return { code, out: out.join("\n"), err: err.join("\n") };
}

async function inDirectory(use: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "witness-" });
  try {
    await use(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("witness and identity say what is wrong with their words, with exit code 2, and make nothing", async () => {
  await inDirectory(async (directory) => {
    const data = `${directory}/none`;
    const add = (...words: string[]) => ["witness", "pair", "add", ...words, "--data", data];
    const mistyped = a.id.replace(/^./, (letter) => letter === "A" ? "B" : "A");
    for (
      const [words, problem] of [
        [["witness"], /say what to do: serve, id, show, pair add/],
        [["witness", "sing"], /no "witness sing"/],
        [["witness", "pair"], /no "witness pair"/],
        [["witness", "toString"], /no "witness toString"/],
        [["witness", "serve"], /--data DIR is needed/],
        [
          ["witness", "serve", "--data", data, "--listen", "7810"],
          /--listen is "7810"; it must be ADDRESS:PORT/,
        ],
        [["witness", "serve", "--data", data, "--listen", "0.0.0.0:70000"], /--listen/],
        [["witness", "serve", "now", "--data", data], /takes 0 words, not 1/],
        [add("press", a.id), /takes 3 words, not 2/],
        [add("Press", a.id, b.id), /the pair's name is "Press"; it must be/],
        [add("press", a.id, a.id), /are the same/],
        [add("press", mistyped, b.id), /ID-A group 1 \("\w+"\) is mistyped/],
        [add("press", a.id, b.id.slice(0, -6)), /ID-B has 12 groups/],
        [["identity", "--data", ""], /--data is empty/],
        [["identity", "--dir", data], /--dir/],
      ] as const
    ) {
      const { code, err, out } = await said(...words);
      assert.equal(code, 2, words.join(" "));
      assert.match(err, problem);
      assert.equal(out, "");
    }
    assert.deepEqual([...Deno.readDirSync(directory)], []);
  });
});

Deno.test("an identity and a witness's ID are shown, and stay the same", async () => {
  await inDirectory(async (directory) => {
    const { code, out } = await said("identity", "--data", directory);
    assert.equal(code, 0);
    assert.deepEqual(readNodeId(out), { id: readIdentity(directory)?.id });
    assert.deepEqual(JSON.parse((await said("identity", "--data", directory, "--json")).out), {
      id: out,
      certificate: readIdentity(directory)?.certificate,
    });
    assert.equal((await said("witness", "id", "--data", directory)).out, out);
    assert.equal((await said("identity", "--data", "/proc/nothing")).code, 1);
  });
});

Deno.test("a node's data directory has the ID that the node has, not one of its own", async () => {
  await inDirectory(async (directory) => {
    using _node = openDataDirectory(directory, "1");
    const { id } = openIdentity(`${directory}/identity`);
    assert.equal((await said("identity", "--data", directory)).out, id);
    assert.equal(readIdentity(directory), null);
  });
});

Deno.test("pairs are added, listed and removed; other hosts under the same name are refused", async () => {
  await inDirectory(async (data) => {
    const pair = (...words: string[]) => said("witness", "pair", ...words, "--data", data);
    assert.match((await pair("list")).err, /is not a witness's directory/);
    assert.match((await pair("add", "press", a.id.toLowerCase(), b.id)).out, /press may ask this witness/);
    assert.equal((await pair("add", "press", b.id, a.id)).code, 0);
    const refused = await pair("add", "press", a.id, c.id);
    assert.equal(refused.code, 1);
    assert.match(refused.err, /There is a pair press already.*\n.*pair remove press/);
    assert.equal((await pair("add", "oven", a.id, c.id)).code, 0);
    const list = await said("witness", "pair", "list", "--data", data, "--json");
    assert.deepEqual(JSON.parse(list.out), [
      { name: "press", hosts: [a.id, b.id] },
      { name: "oven", hosts: [a.id, c.id] },
    ]);
    assert.equal((await pair("remove", "press")).code, 0);
    assert.equal((await pair("list")).out, `oven\n  ${a.id}\n  ${c.id}`);
    assert.match((await pair("remove", "press")).err, /There is no pair "press"/);
    await Deno.writeTextFile(`${data}/pairs.json`, "{}");
    assert.match((await pair("list")).err, /pairs\.json is not what `pair add` writes/);
  });
});

Deno.test("a witness's directory is changed by its owner alone: what another writes there, it could not read", async () => {
  await inDirectory(async (data) => {
    await said("witness", "id", "--data", data);
    await Deno.chown(data, 65534, null);
    for (
      const words of [["serve"], ["id"], ["pair", "add", "press", a.id, b.id], ["pair", "remove", "press"]]
    ) {
      const { code, err } = await said("witness", ...words, "--data", data);
      assert.equal(code, 1);
      assert.match(err, /belongs to the user with number 65534, this is 0\n.*sudo -u '#65534'/);
    }
    assert.equal((await said("witness", "pair", "list", "--data", data)).code, 0);
    await assert.rejects(Deno.stat(`${data}/pairs.json`));
  });
});

Deno.test("show tells each VM's term and holder, whether the witness runs, and who is connected", async () => {
  await inDirectory(async (data) => {
    const show = (...words: string[]) => said("witness", "show", "--data", data, ...words);
    assert.equal((await show()).code, 1);
    await said("witness", "pair", "add", "press", a.id, b.id, "--data", data);
    assert.match((await show()).out, /^witness .*\nit does not run\nno VM has asked yet$/);
    const { id } = readIdentity(data)!;
    const running = await OwnProcess.start({ data });
    try {
      await using client = clientOf({ port: running.port, id }, { identity: a });
      await client.ask({ known: 4, term: 5 });
      const text = (await show()).out;
      assert.match(text, new RegExp(`it runs, and listens on 127.0.0.1:${running.port}\npress/scada\n`));
      assert.match(text, new RegExp(`  term 5, held by ${a.id}, since \\d{4}-\\d\\d-\\d\\dT`));
      assert.match(text, new RegExp(`  connected: ${a.id} from 127.0.0.1`));
      const json = JSON.parse((await show("--json")).out);
      assert.equal(json.running, true);
      assert.equal(json.connected[0].node, a.id);
      const second = await said("witness", "serve", "--data", data, "--listen", "127.0.0.1:0");
      assert.equal(second.code, 1);
      assert.match(second.err, /Another witness serves .* already/);
      await client.release(5);
      const end = await running.kill("SIGTERM");
      assert.equal(end.code, 0);
    } finally {
      await running.kill();
    }
    assert.match((await show()).out, /it does not run\npress\/scada\n {2}term 5, given back, since /);
    await Deno.writeTextFile(grantFile(data, { pair: "press", vm: "scada" }), "");
    assert.match((await show()).out, /REFUSED: the record of this VM's grants is damaged/);
  });
});

Deno.test("a witness that cannot listen says so, and what to do", async () => {
  await inDirectory(async (data) => {
    using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const listen = `127.0.0.1:${taken.addr.port}`;
    const { code, err } = await said("witness", "serve", "--data", data, "--listen", listen);
    assert.equal(code, 1);
    assert.match(err, /Cannot listen on 127\.0\.0\.1:\d+\n.*\n.*--listen ADDRESS:PORT/);
  });
});

Deno.test("a witness's lines name the host, the VM and the term", async () => {
  await inDirectory(async (data) => {
    await said("witness", "pair", "add", "press", a.id, b.id, "--data", data);
    const running = await OwnProcess.start({ data });
    try {
      await using client = clientOf({ port: running.port, id: readIdentity(data)!.id }, { identity: a });
      await client.ask({ known: 0, term: 1 });
      await until("it is said", () => running.events.some(({ event }) => event === "answered"));
      const { node, vm, answer } = running.events.find(({ event }) => event === "answered") ?? {};
      assert.deepEqual([node, vm, answer], [a.id, "scada", { kind: "granted", term: 1 }]);
    } finally {
      await running.kill();
    }
  });
});
