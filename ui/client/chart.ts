/** Graphs of a VM: past samples from the API, new ones from the live stream, drawn by uPlot in the page's colours. */

import uPlot from "uplot";
import { locale, nodeNow, word } from "./shared/words.ts";

type Sample = Record<string, number | null> & { t_ms: number };

const POINTS = 600;
/** Up to this range new samples are drawn as they come; longer ones are loaded again now and then. */
const LIVE_SECONDS = 3600;
const RELOAD_MS = 60_000;
const HEIGHT = 176;

const place = document.getElementById("graphs")!;
const vm = place.dataset.vm ?? "";
const seconds = Number(place.dataset.seconds);
const numbers = new Intl.NumberFormat(locale, { maximumFractionDigits: 2 });
const compact = new Intl.NumberFormat(locale, { notation: "compact", maximumFractionDigits: 1 });

let samples: Sample[] = [];

interface Chart {
  area: HTMLElement;
  metric: string;
  p99: string | undefined;
  scale: number;
  plot: uPlot | null;
}

const charts: Chart[] = [...document.querySelectorAll<HTMLElement>("[data-chart]")].map((area) => ({
  area,
  metric: area.dataset.chart ?? "",
  p99: area.dataset.p99,
  scale: Number(area.dataset.scale),
  plot: null,
}));

function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function dateOf(at: number): string {
  const clock: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  const format = seconds > 86_400 ? { month: "numeric", day: "numeric" } as const : clock;
  return new Intl.DateTimeFormat(locale, format).format(at * 1000);
}

function column(key: string, scale: number): (number | null)[] {
  return samples.map((sample) => {
    const value = sample[key];
    return value === null || value === undefined ? null : value * scale;
  });
}

/** Times in s; a gap where nothing came for a while, so that no line says what nobody measured. */
function dataOf({ metric, p99, scale }: Chart): uPlot.AlignedData {
  const times = samples.map(({ t_ms }) => t_ms / 1000);
  const columns = [column(metric, scale), ...(p99 === undefined ? [] : [column(p99, scale)])];
  const steps = times.slice(1).map((time, i) => time - times[i]!).sort((a, b) => a - b);
  const usual = steps[Math.floor(steps.length / 2)] ?? 1;
  for (let i = times.length - 1; i > 0; i--) {
    if (times[i]! - times[i - 1]! < usual * 4) continue;
    times.splice(i, 0, times[i - 1]! + usual);
    for (const values of columns) values.splice(i, 0, null);
  }
  return [times, ...columns];
}

function axis(): uPlot.Axis {
  const line = color("--line");
  return {
    stroke: color("--muted"),
    grid: { stroke: line, width: 1 },
    ticks: { stroke: line, width: 1 },
    font: "12px system-ui, sans-serif",
  };
}

function draw(chart: Chart): void {
  const inline = (label: string, name: string, more: Partial<uPlot.Series> = {}): uPlot.Series => ({
    label,
    stroke: color(name),
    width: 1.6,
    points: { show: false },
    spanGaps: false,
    ...more,
  });
  chart.plot?.destroy();
  chart.plot = new uPlot(
    {
      width: Math.max(200, chart.area.clientWidth),
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } },
      scales: {
        x: { range: () => [nodeNow() / 1000 - seconds, nodeNow() / 1000] },
        y: { range: (_, __, max) => [0, max > 0 ? max * 1.08 : 1] },
      },
      axes: [
        { ...axis(), values: (_, splits) => splits.map(dateOf), space: 64 },
        { ...axis(), values: (_, splits) => splits.map((value) => compact.format(value)), size: 48 },
      ],
      series: [
        {},
        inline(word("vm.metric.median"), "--accent"),
        ...(chart.p99 === undefined ? [] : [inline(word("vm.metric.p99"), "--warning", { dash: [5, 4] })]),
      ],
      hooks: { setCursor: [(plot) => value(chart, plot.cursor.idx ?? null)] },
    },
    dataOf(chart),
    chart.area,
  );
  value(chart, null);
}

/** The number beside the title: where the pointer is, else the newest. */
function value(chart: Chart, index: number | null): void {
  const at = document.querySelector(`[data-value="${chart.metric}"]`);
  if (at === null || chart.plot === null) return;
  const [, medians, tops] = chart.plot.data;
  const one = (values: ArrayLike<number | null | undefined> | undefined) => {
    if (values === undefined) return undefined;
    if (index !== null) return values[index] ?? undefined;
    for (let i = values.length - 1; i >= 0; i--) if (values[i] != null) return values[i]!;
    return undefined;
  };
  const [median, top] = [one(medians), one(tops)];
  const said = median === undefined ? "–" : numbers.format(median);
  at.textContent = top === undefined ? said : `${said} · p99 ${numbers.format(top)}`;
}

function summary(): void {
  for (const { metric, scale } of charts) {
    const values = column(metric, scale).filter((value) => value !== null);
    const row = document.querySelector(`tr[data-metric="${metric}"]`);
    if (row === null || values.length === 0) continue;
    const shown: Record<string, number> = {
      now: values.at(-1)!,
      min: Math.min(...values),
      mean: values.reduce((sum, value) => sum + value, 0) / values.length,
      max: Math.max(...values),
    };
    for (const [stat, number] of Object.entries(shown)) {
      const cell = row.querySelector(`[data-stat=${stat}]`);
      if (cell !== null) cell.textContent = numbers.format(number);
    }
  }
}

function show(): void {
  const any = samples.length > 0;
  document.getElementById("graphs-none")!.hidden = any;
  const box = place.querySelector<HTMLElement>(".charts")!;
  box.hidden = !any;
  if (!any) return;
  for (const chart of charts) {
    if (chart.plot === null) draw(chart);
    else chart.plot.setData(dataOf(chart));
    value(chart, chart.plot?.cursor.idx ?? null);
  }
  summary();
  place.dataset.drawn = String(samples.length);
}

async function load(): Promise<void> {
  const to = Math.round(nodeNow());
  const query = new URLSearchParams({
    from_ms: String(to - seconds * 1000),
    to_ms: String(to),
    points: String(POINTS),
  });
  const answer = await fetch(`/api/v1/vms/${encodeURIComponent(vm)}/history?${query}`, {
    signal: AbortSignal.timeout(15_000),
  });
  if (!answer.ok) return;
  samples = await answer.json();
  show();
}

/** Colours and sizes follow the page's. */
function redraw(): void {
  if (samples.length > 0) { for (const chart of charts) draw(chart); }
}

load().catch(() => {});
setInterval(() => {
  if (!document.hidden && seconds > LIVE_SECONDS) load().catch(() => {});
}, RELOAD_MS);
document.addEventListener("iservft:sample", (event) => {
  const { vm: name, sample } = (event as CustomEvent<{ vm: string; sample: Sample }>).detail;
  if (name !== vm || seconds > LIVE_SECONDS || document.hidden) return;
  const since = nodeNow() - seconds * 1000;
  if (sample.t_ms <= (samples.at(-1)?.t_ms ?? 0)) return;
  samples = [...samples.filter(({ t_ms }) => t_ms >= since), sample];
  show();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) load().catch(() => {});
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === width) return;
  width = innerWidth;
  redraw();
});
