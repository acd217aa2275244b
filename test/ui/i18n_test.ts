import assert from "node:assert/strict";
import { DOCTOR_ENGLISH, type DoctorCatalogue } from "../../lib/model/doctor_english.ts";
import { ENGLISH } from "../../lib/model/english.ts";
import { explained, PROBLEM_ENGLISH } from "../../lib/model/problem_english.ts";
import { EN, type MessageKey } from "../../ui/i18n/en.ts";
import { acceptedLanguage, translator } from "../../ui/i18n/translator.ts";
import { ZH_TW } from "../../ui/i18n/zh_tw.ts";
import { ZH_DOCTOR } from "../../ui/i18n/zh_tw/doctor.ts";
import { SAID_BY_NODES, ZH_PHRASES } from "../../ui/i18n/zh_tw/phrases.ts";
import { ZH_PROBLEMS } from "../../ui/i18n/zh_tw/problems.ts";
import { ZH_SENTENCES } from "../../ui/i18n/zh_tw/sentences.ts";
import { fakeDoctor } from "./fake_story.ts";

function places(pattern: string): string[] {
  return [...new Set([...pattern.matchAll(/\{(\w+)\}/g)].map((match) => match[1]!))].sort();
}

type Texts = Readonly<Record<string, string>>;

/** A catalogue of several texts for each code as one of single texts. */
function flat(catalogue: Readonly<Record<string, Texts>>): Texts {
  return Object.fromEntries(
    Object.entries(catalogue).flatMap(([code, texts]) =>
      Object.entries(texts).map(([part, text]) => [`${code} ${part}`, text])
    ),
  );
}

function doctor({ checks, seen, fixes }: DoctorCatalogue): Texts {
  return flat({ ...checks, seen, fixes });
}

const CATALOGUES: readonly [english: Texts, chinese: Texts][] = [
  [EN, ZH_TW],
  [ENGLISH, ZH_SENTENCES],
  [doctor(DOCTOR_ENGLISH), doctor(ZH_DOCTOR)],
  [flat(PROBLEM_ENGLISH), flat(ZH_PROBLEMS)],
  [Object.fromEntries(Object.keys(ZH_PHRASES).map((text) => [text, text])), ZH_PHRASES],
];

Deno.test("each language fills in the same values, in each text and each sentence", () => {
  for (const [english, chinese] of CATALOGUES) {
    assert.deepEqual(Object.keys(chinese).sort(), Object.keys(english).sort());
    for (const [key, pattern] of Object.entries(english)) {
      assert.deepEqual(places(chinese[key]!), places(pattern), key);
    }
  }
});

Deno.test("what is said in Chinese is Chinese, in Taiwan's characters and terms", () => {
  const simplified = /[们这为从对时实络软认启动态备证码机网设复单节]/;
  const mainland =
    /軟件|網絡|硬盤|內存|信息|默認|服務器|登錄|數據庫|文件夾|打印|進程|線程|端口|鏡像|缺省|界面|鏈接|宿主/;
  for (const [, chinese] of CATALOGUES) {
    for (const [key, text] of Object.entries(chinese)) {
      // Names, units, formats and commands are the same in both; sentences are not.
      if (!/\p{Script=Han}/u.test(text)) {
        assert.doesNotMatch(text, /^(?!echo |ip ).*[a-z]{3,} [a-z]{2,}/, key);
      }
      assert.doesNotMatch(text, mainland, key);
      assert.doesNotMatch(text, simplified, key);
    }
  }
});

Deno.test("numbers, sizes, times and plurals follow the language", () => {
  const [en, zh] = [translator("en", "Asia/Taipei"), translator("zh-TW", "Asia/Taipei")];
  assert.equal(en.bytes(14.5 * 2 ** 30), "14.5 GiB");
  assert.equal(en.memory(4096), "4 GiB");
  assert.equal(en.duration(74), "1 min 14 s");
  assert.equal(zh.duration(74), "1 分鐘 14 秒");
  assert.equal(en("node.more", { count: 1 }), "1 more VM");
  assert.equal(en("node.more", { count: 4 }), "4 more VMs");
  assert.equal(zh("node.more", { count: 1 }), "另有 1 台虛擬機");
  assert.equal(en.instant("2026-03-17T08:26:50.000Z"), "17 Mar 2026, 16:26:50");
  assert.equal(zh.instant("2026-03-17T08:26:50.000Z"), "2026年3月17日 16:26:50");
  assert.equal(en.relative("2026-03-14T08:30:00Z", Date.UTC(2026, 2, 17, 8, 30)), "3 days ago");
  assert.equal(zh.relative("2026-03-14T08:30:00Z", Date.UTC(2026, 2, 17, 8, 30)), "3 天前");
});

Deno.test("a sentence of a newer node is shown as that node said it", () => {
  const zh = translator("zh-TW");
  assert.equal(zh.say({ code: "vm.of_tomorrow", params: {} }, "Of tomorrow."), "Of tomorrow.");
  assert.equal(zh.say({ code: "vm.runs", params: {} }, "Runs on press-a."), "Runs on press-a.");
  assert.equal(zh.say({ code: "arbiter.reachable", params: { arbiter: "witness" } }), "見證機可以連線。");
});

Deno.test("reasons are said in Chinese where they are known, and nodes still give those reasons", async () => {
  const zh = translator("zh-TW");
  assert.equal(zh.reason("Stop it first."), "請先停止它。");
  assert.equal(
    zh.reason("press-b is not heard, and it may run there."),
    "收不到 press-b 的訊號，虛擬機可能在那裡執行。",
  );
  assert.equal(zh.reason("Of tomorrow."), null);
  assert.equal(translator("en").reason("Of tomorrow."), "Of tomorrow.");
  const failed = { code: "vm.deciding", params: { why: "the other node is not heard" } };
  assert.match(zh.say(failed), /收不到另一台主機的訊號/);
  let said = "";
  for await (const text of sources(new URL("../../lib", import.meta.url).pathname)) said += text;
  said = said.replaceAll(/`\s*\+\s*[`"]/g, "");
  const gone = SAID_BY_NODES.filter((text) =>
    !text.split(/\{\w+\}|["():;,.]/).every((part) => said.includes(part))
  );
  assert.deepEqual(gone, []);
});

Deno.test("what doctor found and why something was refused is said in the reader's language, also without its code", () => {
  const [en, zh] = [translator("en"), translator("zh-TW")];
  const full = explained("disk.space", {
    bytes: "20.0 GiB",
    directory: "/var/lib/iservft-edge",
    free: "3.1 GiB",
    spare: "256.0 MiB",
  });
  const shown = zh.explain(full);
  assert.equal(shown.detail, "/var/lib/iservft-edge 放不下 20.0 GiB：可用 3.1 GiB，且必須保留 256.0 MiB");
  assert.deepEqual(shown.english, { detail: false, hint: false });
  assert.equal(en.explain(full).detail, full.detail);
  // A node of an older version says it without a code; one of a newer version has codes that are not known here.
  const { detail, hint } = full;
  assert.deepEqual(zh.explain({ detail, hint }), shown);
  assert.deepEqual(zh.explain({ detail, hint, reason: { code: "disk.of_tomorrow", params: {} } }), shown);
  const unknown = { detail: "Of tomorrow.", hint: "Wait.", reason: { code: "of.tomorrow", params: {} } };
  assert.deepEqual(zh.explain(unknown), {
    detail: "Of tomorrow.",
    hint: "Wait.",
    english: { detail: true, hint: true },
  });
  assert.equal(zh.explain({ ...full, reason: { code: "disk.space", params: {} } }).detail, shown.detail);

  const check = fakeDoctor().checks.find(({ id }) => id === "pair.firmware")!;
  assert.equal(
    zh.finding(check)!.seen,
    "press-a：/usr/share/OVMF/OVMF_CODE.fd (9f2c01ab34de)；press-b：無",
  );
  assert.equal(en.finding(check)!.seen, check.seen);
  assert.equal(zh.finding({ ...check, code: "kvm.of_tomorrow" }), null);
  assert.equal(zh.finding({ ...check, params: {} }), null);
  const { code: _code, params: _params, ...old } = check;
  assert.equal(zh.finding(old), null);
});

Deno.test("each reason of a refusal is known again by its English", () => {
  const zh = translator("zh-TW");
  const lost: string[] = [];
  for (const [code, { detail, hint }] of Object.entries(PROBLEM_ENGLISH)) {
    for (const text of [detail, hint]) {
      if (/^\{\w+\}$/.test(text)) continue; // another's words and nothing else
      const said = zh.reason(text.replace(/\{\w+\}/g, "x7"));
      if (said === null || !/\p{Script=Han}/u.test(said)) lost.push(`${code}: ${text}`);
    }
  }
  assert.deepEqual(lost, []);
  assert.equal(zh.reason('{"a": 1}: of tomorrow'), null);
});

Deno.test("the browser's language is taken by its weight; any Chinese is ours", () => {
  assert.equal(acceptedLanguage("zh-TW,zh;q=0.9,en;q=0.8"), "zh-TW");
  assert.equal(acceptedLanguage("de,en;q=0.8,zh;q=0.3"), "en");
  assert.equal(acceptedLanguage("fr, zh-Hant;q=0.7, en;q=0.5"), "zh-TW");
  assert.equal(acceptedLanguage(undefined), "en");
  assert.equal(acceptedLanguage("x".repeat(5000)), "en");
});

Deno.test("no key is used by no page", async () => {
  const used = new Set<string>();
  for await (const text of sources(new URL("../../ui", import.meta.url).pathname)) {
    for (const [, key] of text.matchAll(/["'`]((?:[a-z0-9_]|\$\{[^}]*\})+(?:\.[a-z0-9_${}.()]+)*)["'`]/gi)) {
      used.add(key!);
    }
  }
  const patterns = [...used].filter((key) =>
    key.includes("${") && /[a-z]{3}/.test(key.replace(/\$\{[^}]*\}/g, ""))
  ).map((key) => new RegExp(`^${key.replace(/[.*+?^()|[\]\\]/g, "\\$&").replace(/\$\{[^}]*\}/g, ".+")}$`));
  const unused = (Object.keys(EN) as MessageKey[]).filter((key) =>
    !used.has(key) && !patterns.some((pattern) => pattern.test(key))
  );
  assert.deepEqual(unused, []);
});

async function* sources(directory: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(directory)) {
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory && entry.name !== "i18n") yield* sources(path);
    else if (entry.name === "i18n") yield await Deno.readTextFile(`${path}/translator.ts`);
    else if (/\.tsx?$/.test(entry.name)) yield await Deno.readTextFile(path);
  }
}

Deno.test("a time that is none, as the other node may say one, is shown as it is: no page fails for it", () => {
  const t = translator("en");
  for (const show of [t.instant, t.time, t.date, (iso: string) => t.relative(iso, 0)]) {
    assert.equal(show("<no time>"), "<no time>");
  }
});
