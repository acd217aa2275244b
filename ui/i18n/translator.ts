/** Words, numbers and dates in the reader's language. */

import { ENGLISH } from "../../lib/model/english.ts";
import { fill, type Params, type Sentence } from "../../lib/model/sentence.ts";
import { EN, type MessageKey } from "./en.ts";
import { ZH_TW } from "./zh_tw.ts";
import type { CheckView } from "../../lib/model/doctor.ts";
import { doctorTexts } from "../../lib/model/doctor_english.ts";
import type { Explained } from "../../lib/model/problem.ts";
import { knownInChinese, valuesInChinese } from "./zh_tw/known.ts";
import { ZH_DOCTOR } from "./zh_tw/doctor.ts";
import { ZH_PROBLEMS } from "./zh_tw/problems.ts";
import { ZH_SENTENCES } from "./zh_tw/sentences.ts";

/** Languages of the pages. */
export const LANGUAGES = ["en", "zh-TW"] as const;
export type Language = typeof LANGUAGES[number];

/** Each language's own name for itself. */
export const LANGUAGE_NAMES: Readonly<Record<Language, string>> = { "en": "English", "zh-TW": "正體中文" };

/** What a page says things with. */
export interface Translator {
  /** A text, its values filled in. "one | other" is picked by the value `count`. */
  (key: MessageKey, params?: Params): string;
  readonly language: Language;
  /** The text with its values left open, for scripts. */
  pattern(key: MessageKey): string;
  /** A sentence of the node. One that is not known here is shown as `fallback`, or its code. */
  say(sentence: Sentence, fallback?: string): string;
  /** A text that a node gives in English, in the reader's language; null: it is not known here, show the English. */
  reason(english: string): string | null;
  /** Why something was refused or failed. `english`: which of the two are not known here, and shown as they came. */
  explain(problem: Explained): { detail: string; hint: string; english: { detail: boolean; hint: boolean } };
  /** What doctor found; null: a node of another version found it, show its English. */
  finding(check: CheckView): { title: string; seen: string; why: string; fix: string } | null;
  number(value: number, digits?: number): string;
  percent(ratio: number): string;
  /** 1024-based: 14.6 GB. */
  bytes(value: number): string;
  /** MiB as a person says it: 4 GiB. */
  memory(mib: number): string;
  /** Date and time. */
  instant(iso: string | number): string;
  time(iso: string | number): string;
  date(iso: string | number): string;
  /** "3 days ago". */
  relative(iso: string | number, nowMs: number): string;
  /** "1 min 14 s". */
  duration(seconds: number): string;
  list(items: readonly string[]): string;
}

const LOCALES: Readonly<Record<Language, string>> = { "en": "en-GB", "zh-TW": "zh-Hant-TW" };
const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;
const AGES: readonly [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

function relativeText(format: Intl.RelativeTimeFormat, seconds: number): string {
  const [unit, size] = AGES.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
  return format.format(Math.trunc(seconds / size), unit);
}

function bytesText(value: number, number: (value: number, digits: number) => string): string {
  let step = 0;
  while (value >= 1024 && step < BYTE_UNITS.length - 1) {
    value /= 1024;
    step++;
  }
  return `${number(value, step === 0 || value >= 100 ? 0 : 1)} ${BYTE_UNITS[step]}`;
}

/** What the other node calls a time may be none: that is shown, rather than no page at all. */
function shownAsIs(iso: string | number): string {
  return String(iso).slice(0, 40);
}

function formatted(format: Intl.DateTimeFormat, iso: string | number): string {
  const at = new Date(iso);
  return Number.isNaN(at.getTime()) ? shownAsIs(iso) : format.format(at);
}

/** Makes a translator. `timeZone`: the machine's unless told otherwise. */
export function translator(language: Language, timeZone?: string): Translator {
  const messages: Readonly<Record<MessageKey, string>> = language === "zh-TW" ? ZH_TW : EN;
  const locale = LOCALES[language];
  const zone = timeZone === undefined ? {} : { timeZone };
  const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" } as const;
  const day = { year: "numeric", month: "short", day: "numeric" } as const;
  const instants = new Intl.DateTimeFormat(locale, { ...day, ...clock, ...zone });
  const times = new Intl.DateTimeFormat(locale, { ...clock, ...zone });
  const dates = new Intl.DateTimeFormat(locale, { ...day, ...zone });
  const ages = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  const lists = new Intl.ListFormat(locale, { type: "conjunction" });
  const plurals = new Intl.PluralRules(locale);
  const number = (value: number, digits = 1) =>
    new Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(value);

  function text(key: MessageKey, params: Params = {}): string {
    const forms = messages[key].split(" | ");
    const count = params.count;
    const form = forms.length === 1 || typeof count !== "number" || plurals.select(count) === "one" ? 0 : 1;
    return fill(forms[form] ?? forms[0]!, params, number);
  }
  function say(sentence: Sentence, fallback?: string): string {
    const pattern = (language === "zh-TW" ? ZH_SENTENCES : ENGLISH)[sentence.code];
    if (pattern === undefined) return fallback ?? sentence.code;
    const params = language === "zh-TW" ? valuesInChinese(sentence.params) : sentence.params;
    try {
      return fill(pattern, params, number);
    } catch {
      // A node of another version may leave a value out: its own words are better than an error page.
      return fallback ?? sentence.code;
    }
  }
  function reason(english: string): string | null {
    return language === "zh-TW" ? knownInChinese(english) : english;
  }
  function explain({ detail, hint, reason: why }: Explained) {
    if (language === "en") return { detail, hint, english: { detail: false, hint: false } };
    const pattern = why === undefined ? undefined : ZH_PROBLEMS[why.code as keyof typeof ZH_PROBLEMS];
    try {
      if (pattern !== undefined && why !== undefined) {
        const params = valuesInChinese(why.params);
        const put = (text: string) => fill(text, params, number);
        return {
          detail: put(pattern.detail),
          hint: put(pattern.hint),
          english: { detail: false, hint: false },
        };
      }
    } catch {
      // As above: it left a value out.
    }
    // A page's own words are Chinese already.
    const own = (text: string) => text === "" || /\p{Script=Han}/u.test(text) ? text : knownInChinese(text);
    const [known, what] = [own(detail), own(hint)];
    return {
      detail: known ?? detail,
      hint: what ?? hint,
      english: { detail: known === null, hint: what === null },
    };
  }
  function finding(check: CheckView) {
    const { title, seen, why, fix, code, params } = check;
    if (language === "en") return { title, seen, why, fix };
    if (code === undefined || params === undefined) return null;
    try {
      const texts = doctorTexts(ZH_DOCTOR, { code, params: valuesInChinese(params) });
      return texts === null ? null : { ...texts, fix: fix === "" ? "" : texts.fix };
    } catch {
      return null;
    }
  }
  function duration(seconds: number): string {
    const whole = Math.max(0, Math.round(seconds));
    const parts: string[] = [];
    const days = Math.floor(whole / 86400);
    const hours = Math.floor(whole % 86400 / 3600);
    const minutes = Math.floor(whole % 3600 / 60);
    if (days > 0) parts.push(text("unit.days", { count: days }));
    if (hours > 0) parts.push(text("unit.h", { value: hours }));
    if (minutes > 0 && days === 0) parts.push(text("unit.min", { value: minutes }));
    if (whole < 3600 && (whole % 60 > 0 || parts.length === 0)) {
      parts.push(text("unit.s", { value: whole % 60 }));
    }
    return parts.join(" ");
  }

  return Object.assign(text, {
    language,
    pattern: (key: MessageKey) => messages[key],
    say,
    reason,
    explain,
    finding,
    number,
    percent: (ratio: number) =>
      new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 0 }).format(ratio),
    bytes: (value: number) => bytesText(value, number),
    memory: (mib: number) =>
      mib % 1024 === 0 || mib > 10240 ? `${number(mib / 1024)} GiB` : `${number(mib)} MiB`,
    instant: (iso: string | number) => formatted(instants, iso),
    time: (iso: string | number) => formatted(times, iso),
    date: (iso: string | number) => formatted(dates, iso),
    relative: (iso: string | number, nowMs: number) => {
      const seconds = (new Date(iso).getTime() - nowMs) / 1000;
      return Number.isNaN(seconds) ? shownAsIs(iso) : relativeText(ages, seconds);
    },
    duration,
    list: (items: readonly string[]) => lists.format(items),
  });
}

/** The best of our languages for an Accept-Language header. */
export function acceptedLanguage(header: string | undefined): Language {
  const wanted = (header ?? "").slice(0, 500).split(",").map((part) => {
    const [tag = "", ...options] = part.trim().toLowerCase().split(";");
    const q = options.map((option) => /^\s*q=([0-9.]+)$/.exec(option)?.[1]).find((q) => q !== undefined);
    return { tag, q: q === undefined ? 1 : Number(q) };
  }).sort((a, b) => b.q - a.q);
  for (const { tag } of wanted) {
    if (/^zh(-|$)/.test(tag)) return "zh-TW";
    if (/^en(-|$)/.test(tag)) return "en";
  }
  return "en";
}
