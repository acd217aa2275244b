/** Graphs of a VM: drawn by a script (ui/client/chart.ts) once the page is open; as numbers in a table for everybody. */

import { z } from "zod";
import type { VmSample } from "../../lib/model/vm.ts";
import type { PageContext } from "../context.ts";
import type { MessageKey } from "../i18n/en.ts";

/** How far back. */
export const RANGES = { "5m": 300, "1h": 3600, "24h": 86_400, "7d": 604_800 } as const;
export type Range = keyof typeof RANGES;
const NAMES = Object.keys(RANGES) as Range[];
export const rangeQuery = z.enum(["5m", "1h", "24h", "7d"]).catch("1h");

/** What is drawn. `scale`: from the sample's unit to what is shown. `p99`: a second line. */
export const METRICS = [
  { key: "checkpoints_per_s", scale: 1, p99: null },
  { key: "pause_us", scale: 0.001, p99: "pause_p99_us" },
  { key: "latency_us", scale: 0.001, p99: "latency_p99_us" },
  { key: "out_mbit", scale: 1, p99: null },
  { key: "dirty_pages", scale: 1, p99: null },
] as const;
type Metric = typeof METRICS[number];

/** Texts that the script needs. */
export const GRAPH_WORDS: readonly MessageKey[] = [
  "vm.graphs.none",
  "vm.metric.median",
  "vm.metric.p99",
  "error.network",
];

interface Statistics {
  now: number | null;
  min: number | null;
  mean: number | null;
  max: number | null;
}

/** Newest, least, mean, most of what was measured. */
export function statistics(samples: readonly VmSample[], { key, scale }: Metric): Statistics {
  const values = samples.map((sample) => sample[key]).filter((value) => value !== null).map((v) => v * scale);
  if (values.length === 0) return { now: null, min: null, mean: null, max: null };
  let [min, max, sum] = [Infinity, -Infinity, 0];
  for (const value of values) {
    min = Math.min(min, value);
    max = Math.max(max, value);
    sum += value;
  }
  return { now: values.at(-1)!, min, mean: sum / values.length, max };
}

function Ranges({ context, vm, range }: { context: PageContext; vm: string; range: Range }) {
  const { t } = context;
  return (
    <nav class="ranges" aria-label={t("vm.graphs.range")}>
      {NAMES.map((name) => (
        <a
          href={`/vms/${encodeURIComponent(vm)}?range=${name}#graphs`}
          aria-current={name === range ? "true" : undefined}
        >
          {t(`vm.range.${name}`)}
        </a>
      ))}
    </nav>
  );
}

function Summary({ context, samples }: { context: PageContext; samples: readonly VmSample[] }) {
  const { t } = context;
  const shown = (value: number | null) => value === null ? t("unknown") : t.number(value, value < 10 ? 2 : 1);
  return (
    <details id="graph-numbers">
      <summary>{t("vm.graphs.summary")}</summary>
      <div class="table-box" tabindex={0} role="region" aria-label={t("vm.graphs.summary")}>
        <table>
          <thead>
            <tr>
              <th scope="col">{t("vm.metric")}</th>
              <th scope="col" class="num">{t("vm.stat.now")}</th>
              <th scope="col" class="num">{t("vm.stat.min")}</th>
              <th scope="col" class="num">{t("vm.stat.mean")}</th>
              <th scope="col" class="num">{t("vm.stat.max")}</th>
            </tr>
          </thead>
          <tbody>
            {METRICS.map((metric) => {
              const { now, min, mean, max } = statistics(samples, metric);
              return (
                <tr data-metric={metric.key}>
                  <th scope="row">{`${t(`vm.metric.${metric.key}`)} (${t(`vm.unit.${metric.key}`)})`}</th>
                  <td class="num" data-stat="now">{shown(now)}</td>
                  <td class="num" data-stat="min">{shown(min)}</td>
                  <td class="num" data-stat="mean">{shown(mean)}</td>
                  <td class="num" data-stat="max">{shown(max)}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </details>
  );
}

/** See above. */
export function Graphs(
  { context, vm, range, samples }: {
    context: PageContext;
    vm: string;
    range: Range;
    samples: readonly VmSample[];
  },
) {
  const { t } = context;
  return (
    <section
      class="card"
      id="graphs"
      aria-labelledby="graphs-title"
      data-vm={vm}
      data-seconds={RANGES[range]}
    >
      <div class="card-head">
        <h2 id="graphs-title">{t("vm.graphs")}</h2>
        <Ranges context={context} vm={vm} range={range} />
      </div>
      <p class="empty" id="graphs-none" hidden={samples.length > 0}>{t("vm.graphs.none")}</p>
      <div class="charts" hidden={samples.length === 0}>
        {METRICS.map((metric) => (
          <figure class="chart">
            <figcaption>
              <span>{t(`vm.metric.${metric.key}`)}</span>
              <span class="muted">
                <span class="value" data-value={metric.key}></span> {t(`vm.unit.${metric.key}`)}
              </span>
            </figcaption>
            <div
              class="chart-area"
              data-chart={metric.key}
              data-p99={metric.p99 ?? undefined}
              data-scale={String(metric.scale)}
              role="img"
              aria-label={`${t(`vm.metric.${metric.key}`)}${t("colon")}${t("vm.graphs.summary")}`}
            >
            </div>
          </figure>
        ))}
      </div>
      <p class="muted" hidden={samples.length === 0}>{t("vm.graphs.lines")}</p>
      <Summary context={context} samples={samples} />
    </section>
  );
}
