/** Prometheus' text format, version 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats/ */

/** The Content-Type of it. */
export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export type MetricType = "gauge" | "counter" | "summary";
export type Labels = Record<string, string>;

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

function labelled(labels: Labels): string {
  const parts = Object.entries(labels).map(([name, value]) => {
    if (!LABEL.test(name)) throw new Error(`"${name}" cannot be a label`);
    return `${name}="${value.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n")}"`;
  });
  return parts.length === 0 ? "" : `{${parts.join(",")}}`;
}

/** A page of metrics on the way to its text. */
export class Exposition {
  readonly #lines: string[] = [];
  readonly #names = new Set<string>();

  /** One metric with all of its samples; a value that is null, or no number, has no sample. */
  metric(
    name: string,
    about: { type: MetricType; help: string },
    samples: Iterable<{ labels?: Labels; value: number | boolean | null | undefined }>,
  ): void {
    if (!NAME.test(name)) throw new Error(`"${name}" cannot be a metric`);
    if (this.#names.has(name)) throw new Error(`"${name}" is there twice`);
    this.#names.add(name);
    this.#lines.push(`# HELP ${name} ${about.help.replace(/\\/g, "\\\\").replace(/\n/g, "\\n")}`);
    this.#lines.push(`# TYPE ${name} ${about.type}`);
    const seen = new Set<string>();
    for (const { labels = {}, value } of samples) {
      const number = typeof value === "boolean" ? Number(value) : value;
      if (number === null || number === undefined || !Number.isFinite(number)) continue;
      const series = `${name}${labelled(labels)}`;
      // The same series twice makes a scraper refuse the whole page.
      if (seen.has(series)) continue;
      seen.add(series);
      this.#lines.push(`${series} ${number}`);
    }
  }

  gauge(name: string, help: string, samples: Parameters<Exposition["metric"]>[2]): void {
    this.metric(name, { type: "gauge", help }, samples);
  }

  counter(name: string, help: string, samples: Parameters<Exposition["metric"]>[2]): void {
    this.metric(name, { type: "counter", help }, samples);
  }

  text(): string {
    return `${this.#lines.join("\n")}\n`;
  }
}
