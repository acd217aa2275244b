/** 正體中文（台灣）：沒有代碼的英文文字，以及句子中的英文數值。 */

import { DOCTOR_CHECKS, type DoctorCheck } from "../../../lib/model/doctor_checks.ts";
import { DOCTOR_SEEN } from "../../../lib/model/doctor_english.ts";
import { ENGLISH } from "../../../lib/model/english.ts";
import { PROBLEM_ENGLISH, type ReasonCode } from "../../../lib/model/problem_english.ts";
import { fill, type Params } from "../../../lib/model/sentence.ts";
import { type KnownText, KnownTexts, tells } from "../known_texts.ts";
import { ZH_DOCTOR } from "./doctor.ts";
import { ZH_PHRASES } from "./phrases.ts";
import { ZH_PROBLEMS } from "./problems.ts";
import { ZH_SENTENCES, ZH_VALUES } from "./sentences.ts";

/** Values that are sentences or words of ours, not names. */
const NESTED: ReadonlySet<string> = new Set([
  ...["why", "what", "hint", "said", "seen", "text", "result", "disks", "problem", "problems", "is"],
  ...["both", "value", "other_value", "only", "list", "other_list", "title", "identity"],
  ...["cause", "slowed", "pace", "own_range", "other_range", "rate"],
]);
/** A sentence within a sentence within a sentence; no more. */
const DEPTH_MAX = 4;
const EACH = /^(\S+): (.*); (\S+): (.*)$/;
const FIELD = /^([\w.[\]]+): (.*)$/;

function* texts(): Generator<KnownText> {
  const records: [Readonly<Record<string, string>>, Readonly<Record<string, string>>][] = [
    [ENGLISH, ZH_SENTENCES],
    [DOCTOR_SEEN, ZH_DOCTOR.seen],
  ];
  for (const [english, chinese] of records) {
    for (const [code, text] of Object.entries(english)) yield { english: text, said: chinese[code] ?? text };
  }
  for (const check of Object.keys(DOCTOR_CHECKS) as DoctorCheck[]) {
    yield { english: DOCTOR_CHECKS[check].title, said: ZH_DOCTOR.checks[check].title };
  }
  for (const code of Object.keys(PROBLEM_ENGLISH) as ReasonCode[]) {
    yield { english: PROBLEM_ENGLISH[code].detail, said: ZH_PROBLEMS[code].detail };
    yield { english: PROBLEM_ENGLISH[code].hint, said: ZH_PROBLEMS[code].hint };
  }
  // Last, since of two that are the same the later one counts: these are meant for it.
  for (const [english, said] of Object.entries(ZH_PHRASES)) yield { english, said };
}

/** Texts that were looked for last: events say the same again and again. */
const REMEMBERED_MAX = 1000;
const REMEMBERED_LENGTH_MAX = 500;

let known: KnownTexts | undefined;
const remembered = new Map<string, string | null>();

/** Only these words, whatever stands around them. */
function inChinese(english: string, depth: number): string | null {
  if (depth > DEPTH_MAX) return null;
  const before = remembered.get(english);
  if (before !== undefined) return before;
  known ??= new KnownTexts([...texts()].filter((text) => tells(text.english)));
  const found = known.find(english);
  const said = found === null ? null : fill(found.said, nested(found.values, depth + 1));
  if (english.length > REMEMBERED_LENGTH_MAX) return said;
  if (remembered.size >= REMEMBERED_MAX) {
    for (const oldest of remembered.keys()) {
      remembered.delete(oldest);
      break;
    }
  }
  remembered.set(english, said);
  return said;
}

function valueInChinese(name: string, value: string, depth: number): string {
  const word = ZH_VALUES[name]?.[value];
  if (word !== undefined) return word;
  if (!NESTED.has(name)) return value;
  const whole = inChinese(value, depth);
  if (whole !== null) return whole;
  if (name === "both") {
    const [, a, first = "", b, second = ""] = EACH.exec(value) ?? [];
    if (a === undefined) return value;
    const put = (text: string) => inChinese(text, depth) ?? text;
    return `${a}：${put(first)}；${b}：${put(second)}`;
  }
  if (name !== "problems") return value;
  return value.split("; ").map((part) => {
    const [, key, problem = ""] = FIELD.exec(part) ?? [];
    return key === undefined
      ? inChinese(part, depth) ?? part
      : `${key}：${inChinese(problem, depth) ?? problem}`;
  }).join("；");
}

function nested(params: Params, depth: number): Params {
  return Object.fromEntries(
    Object.entries(params).map(([name, value]) => [
      name,
      typeof value === "string" ? valueInChinese(name, value, depth) : value,
    ]),
  );
}

/** A text that a node gave in English; null: it is not known here. */
export function knownInChinese(english: string): string | null {
  return inChinese(english, 0);
}

/** The values of a sentence, those in Chinese that are words of ours. */
export function valuesInChinese(params: Params): Params {
  return nested(params, 1);
}
