/** What a reader of Chinese sees: nothing that we say is left in English, on no page and in no answer to a form. */

import assert from "node:assert/strict";
import { ProblemError } from "../../lib/model/problem.ts";
import { explained } from "../../lib/model/problem_english.ts";
import type { FakeBackend } from "./fake_backend.ts";
import { type FakeWeb, fakeWeb } from "./fake_web.ts";
import { type ListedPage, PAGES } from "./page_list.ts";

/** What stays English because it is another's: a file as it is, lines of a log, the record of the audit log, the name of the language. */
const FOREIGN =
  /^<(pre\b|option value="en")|^<td data-label="詳細內容" class="wrap" lang="en">[\w .:=-]*<\/td>$/;
/** Commands, names of products, of channels and of parts of a command. */
const NAMES = new RegExp(
  [
    "iservft-edge( (install|serve|identity|config check|user password|user add|token create|witness( (id|pair add))?))?",
    "(sudo |apt |modprobe |ip link |timedatectl )[\\w ./-]+",
    "control room|SNMP trap|Intel Core|PAIR( ID-[A-Z]+)*|NAME|NetworkManager",
  ].join("|"),
  "g",
);

/** The text of a page that a person reads or hears: without what is data or code. */
function readText(html: string): string {
  const body = html.replace(
    /<(script|style|head|option|svg|pre|code|kbd|textarea)\b[^>]*>[\s\S]*?<\/\1>/g,
    " ",
  );
  const spoken = [...body.matchAll(/(?:aria-label|title|placeholder|alt)="([^"]*)"/g)].map((match) =>
    match[1]
  );
  return [body.replace(/<[^>]+>/g, "\n"), ...spoken].join("\n").replace(/&[#\w]+;/g, " ");
}

/** Runs of English words that are no names. */
function englishRuns(text: string): string[] {
  return text.split("\n").map((line) => line.trim()).filter((line) =>
    /[A-Za-z]{2,}( [A-Za-z'-]+){2,}/.test(
      line.replace(NAMES, "§").replace(/[\w./:@-]*[\d./:@_-][\w./:@-]*/g, "§"),
    )
  );
}

/** What is left in English: by mistake, or marked as such without being another's words. */
function leftInEnglish(html: string): string[] {
  const marked = [...html.matchAll(/<(\w+)[^>]*\blang="en"[^>]*>[\s\S]*?<\/\1>/g)].map((match) => match[0]);
  return [...marked.filter((part) => !FOREIGN.test(part)), ...englishRuns(readText(html))];
}

function chinese(web: FakeWeb, stranger: boolean): Record<string, string> {
  const cookie = `iservft_language=zh-TW${stranger ? "; stranger=1" : ""}`;
  return { cookie, accept: "text/html", origin: web.url, "sec-fetch-site": "same-origin" };
}

Deno.test("no page in Chinese has a sentence that was left in English", async () => {
  await using web = await fakeWeb();
  const left: string[] = [];
  const failed: ListedPage = { name: "job-failed", path: "/jobs/job-6" };
  for (const { name, path, stranger, before, status } of [...PAGES, failed]) {
    web.backend.reset();
    before?.(web.backend);
    const answer = await web.request(path, { headers: chinese(web, stranger === true) });
    assert.equal(answer.status, status ?? 200, name);
    const html = await answer.text();
    assert.match(html, /<html lang="zh-Hant-TW"/, name);
    left.push(...leftInEnglish(html).map((run) => `${name}: ${run}`));
  }
  assert.deepEqual(left, []);
});

/** Forms with something wrong, and commands that the node refuses. `refused`: the method that throws this. */
const WRONG: readonly {
  path: string;
  fields?: Record<string, string>;
  refused?: [method: string, code: ConstructorParameters<typeof ProblemError>[0], said: Said];
  before?: (backend: FakeBackend) => void;
}[] = [
  {
    path: "/vms/new",
    fields: { step: "machine", go: "next", name: "Press 1", memory_mib: "7", vcpus: "99" },
  },
  { path: "/vms/new", fields: { step: "machine", go: "next", name: "press-1", memory_mib: "", vcpus: "x" } },
  {
    path: "/vms/press-1/settings",
    fields: { revision: "3", memory_mib: "1", vcpus: "two" },
  },
  {
    path: "/vms/press-1/settings",
    fields: { revision: "3", memory_mib: "8192", vcpus: "2" },
    refused: [
      "vm.update",
      "conflict",
      explained("vm.revision", { name: "press-1", found: "4", wanted: "3" }),
    ],
  },
  {
    path: "/vms/historian/do/stop",
    refused: [
      "vm.act",
      "refused",
      explained("vm.not_now", { name: "historian", action: "stop", why: "It runs." }),
    ],
  },
  {
    path: "/vms/press-1/do/switchover",
    refused: [
      "vm.switchover",
      "refused",
      {
        detail: "A switchover is under way",
        hint: "Wait for its end.",
      },
    ],
  },
  {
    path: "/vms/spare-hmi/do/start",
    refused: [
      "vm.act",
      "failed",
      explained("vm.not_running_yet", { name: "spare-hmi", why: "its copy is behind" }),
    ],
  },
  { path: "/pair/join", fields: { address: "10.0.0.1", code: "" }, before: (backend) => backend.unpaired() },
  {
    path: "/pair/join",
    fields: { address: "10.0.0.1", code: "AAAA" },
    before: (backend) => backend.unpaired(),
    refused: ["pair.join", "refused", explained("pair.wrong_code")],
  },
  {
    path: "/pair/join",
    fields: { address: "10.0.0.1", code: "AAAA" },
    before: (backend) => backend.unpaired(),
    refused: [
      "pair.join",
      "peer_unreachable",
      explained("pair.not_reached", { why: "nothing listens there" }),
    ],
  },
  { path: "/pair/links", fields: { "link_a.local": "10.77.1.1", "link_a.peer": "10.77.1", arbiter: "lan" } },
  {
    path: "/pair/remove",
    refused: ["pair.remove", "refused", explained("pair.in_use", { names: "press-1" })],
  },
  { path: "/settings/alerts/channel", fields: { kind: "email", name: "", host: "", port: "70000" } },
  { path: "/settings/alerts/channel", fields: { kind: "webhook", name: "hook", url: "plant" } },
  { path: "/settings/users/new", fields: { name: "Chen Wei", password: "short", role: "operator" } },
  {
    path: "/settings/users/new",
    fields: { name: "ann", password: "a long enough secret", role: "operator" },
  },
  { path: "/settings/users/new", fields: { name: "chen", password: "aaaaaaaaaaaa", role: "operator" } },
  { path: "/settings/tokens/new", fields: { name: "a b", role: "viewer", days: "-1" } },
  { path: "/login", fields: { name: "ann", password: "wrong", code: "" } },
  { path: "/account/password", fields: { old: "wrong", new: "a long enough one", again: "another" } },
];
type Said = ConstructorParameters<typeof ProblemError>[1];

Deno.test("what is wrong with a form, and why something is refused, is said in Chinese", async () => {
  await using web = await fakeWeb();
  const left: string[] = [];
  for (const { path, fields = {}, refused, before } of WRONG) {
    web.backend.reset();
    before?.(web.backend);
    if (refused !== undefined) web.backend.failures.set(refused[0], new ProblemError(refused[1], refused[2]));
    const body = new URLSearchParams(fields);
    const answer = await web.request(path, { method: "POST", body, headers: chinese(web, false) });
    const html = await answer.text();
    const about = `${path} ${refused?.[2].reason?.code ?? JSON.stringify(fields)}: ${answer.status}`;
    assert.equal(answer.status === 500, refused?.[1] === "failed", about);
    assert.match(html, /class="(problem|field-error|form-problem)"/, about);
    left.push(...leftInEnglish(html).map((run) => `${about}: ${run}`));
  }
  assert.deepEqual(left, []);
});

Deno.test("a dialog is told in the reader's language why something was refused; what is not known stays marked", async () => {
  await using web = await fakeWeb();
  const ask = async (said: Said) => {
    web.backend.failures.set("vm.act", new ProblemError("refused", said));
    const headers = { ...chinese(web, false), accept: "application/json" };
    const answer = await web.request("/vms/historian/do/stop", { method: "POST", headers });
    return await answer.json();
  };
  const said = explained("vm.not_now", { name: "historian", action: "stop", why: "Wait until it runs." });
  const known = await ask(said);
  assert.deepEqual(known.shown, {
    detail: "historian 目前無法停止。請等待它開始執行。",
    hint: "請查看虛擬機的狀態與建議的下一步。",
    english: { detail: false, hint: false },
  });
  assert.equal(known.detail, said.detail, "programs see the same English");
  assert.deepEqual(known.reason, said.reason);
  const unknown = await ask({ detail: "Of tomorrow.", hint: "Stop it first." });
  assert.deepEqual(unknown.shown, {
    detail: "Of tomorrow.",
    hint: "請先停止它。",
    english: { detail: true, hint: false },
  });
});

Deno.test("a sentence that was left in English would be found", () => {
  const found = (html: string) => leftInEnglish(html);
  assert.deepEqual(found("<p>The VM is not protected yet.</p><p>虛擬機 press-1 執行中</p>"), [
    "The VM is not protected yet.",
  ]);
  assert.deepEqual(found('<button aria-label="Stop the VM">停止</button>'), ["Stop the VM"]);
  assert.deepEqual(found('<p>原因：<span lang="en">Of tomorrow.</span></p>'), [
    '<span lang="en">Of tomorrow.</span>',
  ]);
  assert.deepEqual(found('<pre lang="en">name = "press-1"</pre><p>sudo iservft-edge install</p>'), []);
});
