import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import type { Cli } from "../../lib/cli/noun.ts";
import { UnreachableError } from "../../lib/cli/pinned.ts";
import { doctorView } from "../../lib/model/doctor.ts";
import type { FakeBackend } from "../ui/fake_backend.ts";
import { cliRig, interrupt, runWords, sitting } from "./kit.ts";

const PASSWORD = "a long enough secret";

/** Each verb with what is given to it, and what it must end with against the fake plant. */
const HAPPY: readonly (readonly [string, number])[] = [
  ["vm list", 0],
  ["vm logs press-1 -n 2", 0],
  ["vm file press-1", 0],
  ["vm history press-1 --minutes 5 --points 3", 0],
  ["pair show", 0],
  ["pair suggest", 0],
  ["pair invite", 0],
  ["pair join 10.0.0.2:7811 K7QD-M3XR", 0],
  ["pair confirm", 0],
  ["pair cancel", 0],
  ["pair rotate --yes", 0],
  ["pair remove --yes", 0],
  ["pair remove --replace --yes", 0],
  ["events --limit 5 --since 100000d", 0],
  ["alert settings", 0],
  ["job list", 0],
  ["user list", 0],
  ["token list", 0],
  ["audit list", 0],
  ["audit verify", 0],
  ["config show", 0],
];

Deno.test("each verb's --json is one JSON document and nothing beside it", async () => {
  await using rig = await cliRig();
  for (const [words, code] of HAPPY) {
    const plain = await rig.said(words.split(" "));
    equal(plain.code, code, `${words}: ${plain.err.join("\n")}`);
    ok(plain.out.length > 0, words);
    const json = await rig.said([...words.split(" "), "--json"]);
    equal(json.code, code, words);
    ok(typeof JSON.parse(json.text) === "object", words);
  }
});

Deno.test("a node that is not there ends with 4 and what to do; so does one that does not hear its peer", async () => {
  await using rig = await cliRig();
  for (const words of ["status", "vm list", "events --follow", "pair show", "doctor", "vm console press-1"]) {
    const gone = await rig.said([...words.split(" "), "--socket", `${rig.directory}/no.sock`]);
    equal(gone.code, 4, words);
    match(gone.err.join("\n"), /what to do: /, words);
    deepEqual(gone.out, [], words);
  }
  const { ProblemError } = await import("../../lib/model/problem.ts");
  rig.api.backend.failures.set(
    "vm.act",
    new ProblemError("peer_unreachable", { detail: "press-b is not heard", hint: "Look." }),
  );
  equal((await rig.said(["vm", "verify", "press-1"])).code, 4);
});

Deno.test("what is asked wrongly ends with 2, says what was meant, and asks no node", async () => {
  await using rig = await cliRig();
  for (
    const [words, said] of [
      ["stauts", /did you mean status\?/],
      ["vm", /say what to do: create, import, list/],
      ["vm strat press-1", /no "vm strat"; did you mean start\?/],
      ["vm list --jsno", /Did you mean `--json`\?/],
      ["vm show", /NAME|argument/i],
      ["vm show a b", /"b"/],
      ["vm create a", /--memory/],
      ["vm create a -m 3z", /"3z" is not a size; write 512M, 20G or 1T/],
      ["vm create a -m 1G --disk floppy", /is not a disk; write new:SIZE/],
      ["vm create A_B -m 1G", /name: it must be 1 to 32 small letters/],
      ["vm import a b.img -m 1G", /--format/],
      ["vm import a b.img -m 1G --format vdi", /"qcow2", "vmdk", "vhdx", and "raw"/],
      ["events --severity bad", /"critical"/],
      ["events --since yesterday", /is not a time; write/],
      ["user add ann --role king", /"viewer"/],
      ["token create x --days 0", /1/],
      ["pair configure --link-a 10.0.0.1", /is not LOCAL\/PEER/],
      ["config check x.toml --kind pair", /"serve"/],
      ["status --url https://127.0.0.1:1", /--url needs --token-file and --fingerprint/],
      ["status --token-file x", /go with --url/],
      ["completions tcsh", /"bash"/],
    ] as const
  ) {
    const wrong = await rig.said(words.split(" "));
    equal(wrong.code, 2, `${words}: ${wrong.err.join("\n")}`);
    match(wrong.err.join("\n"), said, words);
    match(wrong.err.join("\n"), /see: iservft-edge|usage: iservft-edge|what to do/, words);
    deepEqual(wrong.out, [], words);
  }
  deepEqual(rig.api.backend.calls, []);
});

Deno.test("every help text says the exit codes and names every verb and option", async () => {
  const { commands } = await import("../../main.ts");
  const terminal = sitting(undefined, {});
  let verbs = 0;
  for (const { name, load } of commands) {
    const { noun } = await load();
    if (noun === undefined) continue;
    const top = await runWords([name, "--help"], { terminal });
    equal(top.code, 0, name);
    match(
      top.text,
      /0 ok, 1 failed, 2 asked wrongly, 3 degraded, 4 nobody was reached, 5 refused for safety/,
      name,
    );
    for (const verb of noun.verbs) {
      verbs++;
      const help = await runWords([name, ...verb.name === "" ? [] : [verb.name], "--help"], { terminal });
      equal(help.code, 0, `${name} ${verb.name}`);
      match(help.text, /--json/, `${name} ${verb.name}`);
      if (verb.name !== "") {
        ok(top.text.includes(`  ${verb.name}  `) || top.text.includes(`  ${verb.name} `), verb.name);
      }
    }
  }
  ok(verbs > 50, `${verbs} verbs`);
});

Deno.test("passwords are typed twice or read from a file, and are no argument", async () => {
  await using rig = await cliRig();
  const typed = await rig.said(["user", "add", "bob", "--role", "operator"], {
    answers: [PASSWORD, PASSWORD],
  });
  equal(typed.code, 0, typed.err.join("\n"));
  equal(rig.api.access.users.get("bob")?.role, "operator");
  const other = await rig.said(["user", "add", "eve"], { answers: [PASSWORD, "another long one"] });
  equal(other.code, 2);
  equal((await rig.said(["user", "add", "eve"])).code, 2, "nobody is there to type");
  const file = `${rig.directory}/password`;
  await Deno.writeTextFile(file, `${PASSWORD} of eve\n`);
  equal((await rig.said(["user", "add", "eve", "--password-file", file])).code, 0);
  await rig.api.access.sessions.begin({ name: "eve", password: `${PASSWORD} of eve`, code: "" }, {
    address: "a",
    agent: "",
  });
  equal((await rig.said(["user", "add", "mal", "--password", PASSWORD])).code, 2);
  equal((await rig.said(["user", "role", "eve", "administrator"])).code, 0);
  equal(rig.api.access.users.get("eve")?.role, "administrator");
  equal((await rig.said(["user", "password", "eve", "--password-file", file])).code, 0);
  equal((await rig.said(["user", "reset", "eve", "--password-file", file])).code, 0);
  equal((await rig.said(["user", "totp-off", "eve"])).code, 0);
  equal((await rig.said(["user", "sign-out", "eve"])).code, 0);
  equal((await rig.said(["user", "remove", "eve", "--yes"])).code, 0);
  equal(rig.api.access.users.get("eve"), null);
  const short = await rig.said(["user", "add", "tim"], { answers: ["short", "short"] });
  equal(short.code, 2);
  match(short.err.join("\n"), /password/);
});

Deno.test("token create writes the token alone on standard output; revoke takes its name or ID", async () => {
  await using rig = await cliRig();
  const made = await rig.said(["token", "create", "grafana", "--days", "30"]);
  equal(made.out.length, 1);
  equal(rig.api.access.tokens.find(made.out[0]!)?.role, "viewer");
  equal((await rig.said(["token", "revoke", "grafana"])).code, 0);
  equal(rig.api.access.tokens.find(made.out[0]!), null);
  equal((await rig.said(["token", "revoke", "grafana"])).code, 1);
});

Deno.test("pair configure keeps what is not said, and says which key is missing", async () => {
  await using rig = await cliRig();
  const before = rig.api.backend.state.pair.settings!;
  const changed = await rig.said("pair configure --takeover-ms 300 --no-link-b --arbiter manual".split(" "));
  equal(changed.code, 0, changed.err.join("\n"));
  deepEqual(rig.api.backend.calls.at(-1)?.args, [{
    ...before,
    takeover_ms: 300,
    link_b: null,
    arbiter: "manual",
  }]);
  rig.api.backend.push({ pair: { ...rig.api.backend.state.pair, settings: null } });
  const missing = await rig.said("pair configure --lan 10.0.0.1/10.0.0.2".split(" "));
  equal(missing.code, 2);
  match(missing.err.join("\n"), /link_a[^]*lan\.bridge/);
  equal((await rig.said("pair configure --suggested".split(" "))).code, 1, "nothing is proposed now");
});

Deno.test("pair invite --wait goes on to the digits; no cancels and ends with 5, yes confirms", async () => {
  for (const [answer, method, code] of [["no", "pair.cancel", 5], ["yes", "pair.confirm", 0]] as const) {
    await using rig = await cliRig();
    const { backend } = rig.api;
    const comparing = {
      step: "comparing" as const,
      digits: "482 913",
      peer_name: "press-b",
      peer_id: "ID",
      confirmed: false,
      expires: new Date(0).toISOString(),
    };
    const tick = setInterval(() => {
      if (backend.state.pair.pairing.step === "inviting") {
        backend.push({ pair: { ...backend.state.pair, pairing: comparing } });
      } else backend.push();
    }, 10);
    const ended = await rig.said(["pair", "invite", "--wait"], { answers: [answer] });
    clearInterval(tick);
    equal(ended.code, code, ended.err.join("\n"));
    ok(backend.calls.some((call) => call.method === method), method);
    match(ended.err.join("\n"), /code {2}K7QD-M3XR[^]*digits {2}482 913/);
  }
});

Deno.test("doctor ends with 3 when a check failed, with why and fix; --peer asks for both nodes", async () => {
  await using rig = await cliRig();
  const both = await rig.said(["doctor", "--peer", "--json"]);
  deepEqual(rig.api.backend.calls.at(-1)?.args, [{ peer: true }]);
  const failed = rig.api.backend.doctorView.checks.some(({ state }) => state === "failed");
  equal(both.code, failed ? 3 : 0);
  const check = {
    id: "kvm",
    node: rig.api.backend.state.nodes[0]!.name,
    title: "KVM",
    seen: "no /dev/kvm",
    why: "slow",
    fix: "Turn it on.",
  };
  rig.api.backend.doctorView = { at: "", checks: [{ ...check, state: "failed" }] };
  const text = await rig.said(["doctor"]);
  equal(text.code, 3);
  match(text.text, /FAILED {3}KVM: no \/dev\/kvm\n +why: slow\n +fix: Turn it on\./);
  rig.api.backend.doctorView = { at: "", checks: [{ ...check, state: "ok" }] };
  equal((await rig.said(["doctor"])).code, 0);
});

Deno.test("doctor looks at the machine itself when no service runs, unless one was named or the other node is meant", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const env = { XDG_RUNTIME_DIR: directory, XDG_DATA_HOME: directory };
    const io = { ...sitting(undefined, env), env: (name: string) => (env as Record<string, string>)[name] };
    const { noun } = await import("../../lib/cli/doctor.ts");
    const err: string[] = [];
    const out: unknown[] = [];
    const cli: Cli = {
      io: { out() {}, err: (line) => void err.push(line), terminal: io },
      json: true,
      client: () => Promise.reject(new UnreachableError("No node answers", { op: "connect", hint: "" })),
      answer: (data) => void out.push(data),
    };
    const code = await noun.verbs[0]!.run({ peer: false }, cli);
    const { checks } = doctorView.parse(out[0]);
    equal(code, checks.some(({ state }) => state === "failed") ? 3 : 0);
    ok(checks.some(({ id }) => id === "kvm") && checks.length > 8);
    match(err.join("\n"), /No node answers.*this is the machine alone/);
    for (const given of [{ peer: true }, { peer: false, socket: "/x" }]) {
      await rejects(noun.verbs[0]!.run(given, cli), UnreachableError);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("events --follow goes on with what happens, filtered, one line each, and ends on Ctrl-C", async () => {
  await using rig = await cliRig();
  const { backend } = rig.api;
  const happens = (name: string) =>
    backend.pushEvent({
      severity: "info",
      subject: "vm",
      name,
      code: "vm.alarm",
      params: { text: name },
      actor: null,
    });
  const { run } = await import("../../lib/cli/events.ts");
  const lines: string[] = [];
  let two!: () => void;
  const seen = new Promise<void>((resolve) => two = resolve);
  const io = {
    out(line: string) {
      lines.push(line);
      if (lines.length === 2) two();
    },
    err() {},
    terminal: sitting(undefined, { ISERVFT_SOCKET: rig.socket }),
  };
  const subscribe = backend.subscribe.bind(backend);
  const subscribed = new Promise<void>((resolve) => {
    backend.subscribe = (listener) => {
      queueMicrotask(resolve);
      return subscribe(listener);
    };
  });
  const following = run(["--follow", "--json", "--limit", "1", "--name", "press-1"], io);
  await subscribed;
  happens("historian");
  happens("press-1");
  await seen;
  interrupt();
  equal(await following, 0);
  deepEqual(lines.map((line) => JSON.parse(line).name), ["press-1", "press-1"]);
});

Deno.test("a support bundle is written whole, readable by its owner alone, and over nothing", async () => {
  await using rig = await cliRig();
  const file = `${rig.directory}/bundle.tar.gz`;
  equal((await rig.said(["support-bundle", file])).code, 0);
  equal(Deno.statSync(file).mode! & 0o777, 0o600);
  deepEqual([...Deno.readFileSync(file)], [0x1f, 0x8b, 8, 0]);
  equal((await rig.said(["support-bundle", file])).code, 2);
});

Deno.test("config check names line, key, value seen and values allowed, for each kind of file; --json gives the list", async () => {
  await using rig = await cliRig();
  const file = `${rig.directory}/serve.toml`;
  await Deno.writeTextFile(file, 'listen = "everywhere"\nlisen = 1\n');
  const wrong = await rig.said(["config", "check", file]);
  equal(wrong.code, 2);
  match(wrong.err.join("\n"), /serve\.toml:1: listen: is "everywhere"; it must be ADDRESS:PORT/);
  match(wrong.err.join("\n"), /serve\.toml:2: lisen: unknown key/);
  const json = await rig.said(["config", "check", file, "--json"]);
  equal(json.code, 2);
  deepEqual(
    JSON.parse(json.text).problems.map(({ key, line }: { key: string; line: number }) => [key, line]),
    [["listen", 1], ["lisen", 2]],
  );
  await Deno.writeTextFile(file, 'listen = "127.0.0.1:9443"\n');
  equal((await rig.said(["config", "check", file])).code, 0);
  const vm = `${rig.directory}/vm.toml`;
  await Deno.writeTextFile(vm, 'name = "a"\nmemory_mib = "much"\n');
  const vmWrong = await rig.said(["config", "check", vm, "--kind", "vm"]);
  equal(vmWrong.code, 2);
  match(vmWrong.err.join("\n"), /vm\.toml:2: memory_mib/);
  equal((await rig.said(["config", "check", vm, "--kind", "host"])).code, 2);
});

Deno.test("alerts: what is wrong ends list with 3, settings go out and come back as a file, a failed test ends with 1", async () => {
  await using rig = await cliRig();
  const { backend } = rig.api as { backend: FakeBackend };
  backend.push({
    alerts: [{
      key: "a",
      severity: "critical",
      code: "c",
      params: {},
      text: "it burns",
      since: "2026-01-01T00:00:00Z",
    }],
  });
  const list = await rig.said(["alert", "list"]);
  equal(list.code, 3);
  match(list.text, /CRITICAL {2}.*it burns/);
  backend.push({ alerts: [] });
  equal((await rig.said(["alert", "list"])).code, 0);
  const file = `${rig.directory}/alerts.json`;
  await Deno.writeTextFile(file, (await rig.said(["alert", "settings"])).text);
  const before = structuredClone(backend.alertSettings);
  equal((await rig.said(["alert", "configure", file])).code, 0);
  deepEqual(backend.alertSettings, before);
  equal((await rig.said(["alert", "test", "no such"])).code, 1);
  equal((await rig.said(["alert", "test", before.channels[0]!.name])).code, 0);
});

Deno.test("audit verify ends with 1 when the log is not whole", async () => {
  await using rig = await cliRig();
  const whole = await rig.said(["audit", "verify"]);
  match(whole.text, /\d+ entries, each follows/);
  rig.api.access.audit.verify = () =>
    Promise.resolve({ ok: false, file: "audit.log", line: 3, problem: "it was changed" });
  const broken = await rig.said(["audit", "verify"]);
  equal(broken.code, 1);
  match(broken.text, /NOT WHOLE: audit\.log, line 3: it was changed/);
});

Deno.test("completions name every command, verb and option, from the declarations themselves", async () => {
  const { commands } = await import("../../main.ts");
  const terminal = sitting(undefined, {});
  const words = async (...typed: string[]) =>
    (await runWords(["completions", "words", "bash", ...typed], { terminal })).text.split("\n").filter((
      word,
    ) => word !== "");
  deepEqual((await words("")).sort(), commands.map(({ name }) => name).sort());
  for (const { name, load } of commands) {
    const { noun } = await load();
    if (noun === undefined || noun.verbs[0]?.name === "") continue;
    deepEqual(
      (await words(name, "")).filter((word) => !word.startsWith("-")).sort(),
      noun.verbs.map((verb) => verb.name).sort(),
      name,
    );
  }
  deepEqual(await words("vm", "sta"), ["start"]);
  ok((await words("vm", "create", "--m")).includes("--memory"));
  deepEqual(await words("vm", "import", "a", "b", "--format", "q"), ["qcow2"]);
  ok((await words("status", "--")).includes("--json"));
  deepEqual(await words("witness", ""), [], "older commands have none");
  for (const shell of ["bash", "zsh", "fish"]) {
    const script = await runWords(["completions", shell], { terminal });
    equal(script.code, 0);
    ok(script.text.includes("iservft-edge") && script.text.includes("words"), shell);
  }
});
