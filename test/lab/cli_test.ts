import { deepEqual, equal, ok } from "node:assert/strict";
import { run } from "../../lib/cli/lab.ts";
import { run as runClient } from "../../lib/cli/lab_client.ts";
import { Lab } from "../../lib/lab/lab.ts";

async function said(args: string[], command = run) {
  const out: string[] = [];
  const err: string[] = [];
  const code = await command(args, { out: (line) => out.push(line), err: (line) => err.push(line) });
  return { code, out, err };
}

Deno.test("lab says what is wrong with its words, with exit code 2, and changes nothing", async () => {
  for (
    const [words, problem] of [
      ["", /say what to do/],
      ["sideways", /no "lab sideways"/],
      ["up extra", /"extra" is one word too many/],
      ["up --rate fast", /--rate is "fast"/],
      ["up --lab UPPER", /--lab is "UPPER"/],
      ["up --nonsense", /nonsense/],
      ["fault", /say which fault/],
      ["fault toString a", /no fault "toString"/],
      ["fault freeze c", /"c" is no host: use a, b/],
      ["fault cut-link a up", /"up" is no direction/],
      ["fault shape a", /needs --rate or --loss/],
      ["fault kill a", /needs the name/],
      ["exec d ls", /"d" is no place/],
      ["exec a", /needs a command/],
    ] as const
  ) {
    const { code, err } = await said(words.split(" ").filter((word) => word !== ""));
    equal(code, 2, words);
    ok(problem.test(err[0] ?? ""), `${words}: ${err[0]}`);
  }
});

Deno.test("lab-client says what is wrong with its words, with exit code 2", async () => {
  const { code, err } = await said(["--dirty", "many"], runClient);
  equal(code, 2);
  ok(/--dirty is "many"/.test(err[0] ?? ""));
  ok(/--hostname is missing/.test(err[0] ?? ""));
});

Deno.test("lab up, fault, status, restore, exec and down work by hand", async () => {
  const id = `c${crypto.randomUUID().slice(0, 6)}`;
  const lab = async (...words: string[]) => await said(["--lab", id, ...words]);
  try {
    equal((await lab("up", "--rate", "200")).code, 0);
    equal((await lab("fault", "cut-link", "a", "a-to-b")).code, 0);
    equal((await lab("fault", "freeze", "b")).code, 0);
    const broken = JSON.parse((await lab("status", "--json")).out.join());
    deepEqual(broken.links.a, { rate_mbit: 200, loss_percent: 0, cut: "a-to-b", plugged: true });
    equal(broken.hosts.b.frozen, true);
    equal((await lab("restore")).code, 0);
    const whole = JSON.parse((await lab("status", "--json")).out.join());
    equal(whole.links.a.cut, null);
    equal(whole.hosts.b.frozen, false);
    equal((await lab("exec", "a", "sh", "-c", "exit 7")).code, 7);
    ok((await said(["list"])).out.includes(id));
    equal((await lab("down")).code, 0);
    equal((await lab("down")).code, 0);
  } finally {
    await Lab.down(id);
  }
});
