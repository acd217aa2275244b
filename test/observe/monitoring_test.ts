import assert from "node:assert/strict";
import { ROOT } from "../../build/run.ts";
import { VM_STATES } from "../../lib/model/vm.ts";
import { Exposition } from "../../lib/observe/exposition.ts";
import { type MetricsExtras, prometheusText } from "../../lib/observe/prometheus.ts";
import { fakeSnapshot } from "../ui/fake_data.ts";
import { type Family, parseExpression, parseMetrics, parseRules } from "./promql.ts";

const EXTRAS: MetricsExtras = {
  version: "0.1.0",
  mode: "packed",
  totals: new Map([["press-1", { checkpoints: 12_345, bytes: 9_876_543_210 }]]),
  observer: { events_kept: 812, events_lost: 0, samples_lost: 3, problem: null },
  channels: [{ channel: "mail", kind: "email", sent: 4, failed: 1, waiting: 2 }],
  checks: [{ id: "kvm", node: "press-a", state: "failed", title: "", seen: "", why: "", fix: "" }],
  audit: { intact: true },
  process: { started_ms: 1_772_000_000_000, resident_bytes: 91_000_000 },
};

/** What Prometheus itself adds. */
const TARGET = ["job", "instance"];
const OWN = new Map<string, Family>([["up", { name: "up", type: "gauge", help: "", samples: [] }]]);

function page(change: (snapshot: ReturnType<typeof fakeSnapshot>) => void = () => {}): Map<string, Family> {
  const snapshot = fakeSnapshot();
  change(snapshot);
  return parseMetrics(prometheusText(snapshot, EXTRAS));
}

function value(
  families: Map<string, Family>,
  name: string,
  labels: Record<string, string> = {},
): number | undefined {
  return families.get(name)!.samples.find((sample) =>
    Object.entries(labels).every(([key, wanted]) => sample.labels[key] === wanted)
  )?.value;
}

Deno.test("the page of metrics has what is, in base units, under names that say so", () => {
  const families = page();
  for (const { name, type, help } of families.values()) {
    assert.match(name, /^iservft_[a-z0-9_]+$/);
    assert.equal(type === "counter", name.endsWith("_total"), name);
    assert.doesNotMatch(name, /_(ms|us|mib|mb|mbit|kb|percent)(_|$)/);
    assert.match(help, /^[A-Z0-9].*\.$/, name);
  }
  assert.equal(value(families, "iservft_vm_replication_bytes_total", { vm: "press-1" }), 9_876_543_210);
  assert.equal(value(families, "iservft_build_info", { version: "0.1.0" }), 1);
  assert.equal(value(families, "iservft_link_up", { link: "a" }), 1);
  assert.equal(value(families, "iservft_peer_reachable"), 1);
  const { sample } = fakeSnapshot().vms[0]!;
  const pause = value(families, "iservft_vm_pause_seconds", { vm: "press-1", quantile: "0.99" });
  assert.equal(pause, sample!.pause_p99_us! / 1e6);
});

Deno.test("a VM's state is a set: one for the state that is, nothing for all others", () => {
  for (const state of VM_STATES) {
    const families = page(({ vms }) => vms[0]!.state = state);
    const set = families.get("iservft_vm_state")!.samples.filter(({ labels }) => labels.vm === "press-1");
    assert.deepEqual(set.map(({ labels }) => labels.state), [...VM_STATES]);
    assert.deepEqual(set.filter((one) => one.value === 1).map(({ labels }) => labels.state), [state]);
  }
});

Deno.test("what is not known has no sample, and what is down is 0", () => {
  const alone = page((snapshot) => {
    snapshot.pair.pairing = { step: "none" };
    snapshot.pair.arbiter = null;
    snapshot.pair.paths = [];
    snapshot.vms = [];
  });
  for (
    const name of [
      "iservft_peer_reachable",
      "iservft_arbiter_reachable",
      "iservft_link_up",
      "iservft_vm_state",
    ]
  ) {
    assert.deepEqual(alone.get(name)!.samples, [], name);
  }
  const lost = page(({ nodes, pair }) => {
    nodes[1]!.reachable = false;
    nodes[1]!.disk_free_bytes = null;
    pair.arbiter!.state = "lost";
    pair.paths[0]!.state = "down";
    pair.paths[1]!.state = "unknown";
  });
  assert.equal(value(lost, "iservft_peer_reachable"), 0);
  assert.equal(value(lost, "iservft_arbiter_reachable"), 0);
  assert.equal(value(lost, "iservft_link_up", { link: "a" }), 0);
  assert.equal(value(lost, "iservft_link_up", { link: "b" }), undefined);
  assert.equal(value(lost, "iservft_node_disk_free_bytes", { node: "press-b" }), undefined);
});

Deno.test("names with quotes and line ends cannot make a line of their own, and nothing comes twice", () => {
  const evil = 'a"} 1\niservft_evil 1\n# \\';
  const families = page(({ vms, nodes, alerts }) => {
    vms[0]!.name = evil;
    vms[1]!.name = evil;
    nodes[1]!.kernel = evil;
    alerts.push({ key: evil, severity: "warning", code: evil, params: {}, text: "", since: "" });
    alerts.push({ key: evil, severity: "warning", code: evil, params: {}, text: "", since: "" });
  });
  assert.equal(families.has("iservft_evil"), false);
  assert.equal(value(families, "iservft_vm_state", { vm: evil, state: "protected" }), 1);
  const exposition = new Exposition();
  exposition.gauge("a", "A.", [{ value: Number.NaN }, { value: null }, { value: 1e300 }]);
  assert.throws(() => exposition.gauge("a", "Again.", []), /twice/);
  assert.throws(() => exposition.gauge("b c", "Bad.", []), /cannot be a metric/);
  assert.throws(
    () => exposition.gauge("c", "Bad.", [{ labels: { "d-e": "" }, value: 1 }]),
    /cannot be a label/,
  );
  assert.equal(parseMetrics(exposition.text()).get("a")!.samples[0]!.value, 1e300);
});

/** Says what is wrong with an expression: metrics, labels and values that are not on the page. */
function checkExpression(expr: string, families: Map<string, Family>): void {
  const { used, grouped } = parseExpression(expr);
  const labels = new Set(TARGET);
  for (const { metric, matchers } of used) {
    const family = families.get(metric) ?? OWN.get(metric);
    assert.ok(family !== undefined, `${metric} is not on the page: ${expr}`);
    const known = new Set([...TARGET, ...family.samples.flatMap((sample) => Object.keys(sample.labels))]);
    for (const label of known) labels.add(label);
    for (const { label, op, value } of matchers) {
      assert.ok(known.has(label), `${metric} has no label ${label}`);
      if (value.startsWith("$") || TARGET.includes(label)) continue;
      const values = family.samples.map((sample) => sample.labels[label]);
      for (const one of op === "=~" ? value.split("|") : [value]) {
        assert.ok(values.includes(one), `${metric} never has ${label}="${one}"`);
      }
    }
  }
  for (const label of grouped) assert.ok(labels.has(label), `nothing in ${expr} has a label ${label}`);
}

const read = (name: string) => Deno.readTextFileSync(`${ROOT}/examples/monitoring/${name}`);

Deno.test("each alert rule can be read, and asks for what is on the page", () => {
  const families = page();
  const rules = parseRules(read("alert_rules.yml"));
  assert.ok(rules.length >= 10);
  assert.equal(new Set(rules.map(({ alert }) => alert)).size, rules.length);
  for (const rule of rules) {
    assert.match(rule.alert, /^Iservft[A-Za-z]+$/);
    checkExpression(rule.expr, families);
    assert.ok(rule.for === undefined || /^\d+[smh]$/.test(rule.for), rule.alert);
    assert.match(rule.labels.severity ?? "", /^(warning|critical)$/, rule.alert);
    assert.ok(rule.annotations.summary && rule.annotations.description, rule.alert);
    const { grouped, used } = parseExpression(rule.expr);
    const label = /\{\{ \$labels\.(\w+) \}\}/.exec(rule.annotations.summary)?.[1];
    if (label === undefined || grouped.length === 0) continue;
    assert.ok(
      grouped.includes(label),
      `${rule.alert}: its summary names ${label}, which ${used[0]!.metric} lost`,
    );
  }
});

interface Panel {
  id: number;
  type: string;
  title: string;
  gridPos: { x: number; y: number; w: number; h: number };
  datasource?: { uid: string };
  targets?: { refId: string; expr: string }[];
}

Deno.test("the dashboard can be loaded: its panels lie side by side and ask for what is on the page", () => {
  const families = page();
  const board = JSON.parse(read("grafana_dashboard.json"));
  assert.equal(board.uid, "iservft-edge");
  assert.ok(Number.isInteger(board.schemaVersion));
  const variables = new Set(board.templating.list.map(({ name }: { name: string }) => name));
  for (const { definition } of board.templating.list) {
    if (definition === undefined) continue;
    const [, metric, label] = /^label_values\((\w+), (\w+)\)$/.exec(definition)!;
    assert.ok(families.has(metric!), definition);
    assert.ok(
      TARGET.includes(label!) || families.get(metric!)!.samples.some(({ labels }) => label! in labels),
    );
  }
  const panels: Panel[] = board.panels;
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  const cells = new Set<string>();
  for (const { type, title, gridPos: { x, y, w, h }, targets, datasource } of panels) {
    assert.ok(x >= 0 && w > 0 && x + w <= 24 && h > 0, title);
    for (let i = x; i < x + w; i++) {
      for (let j = y; j < y + h; j++) {
        assert.ok(!cells.has(`${i},${j}`), `${title} lies on another panel`);
        cells.add(`${i},${j}`);
      }
    }
    if (type === "row") continue;
    assert.ok(title !== "" && targets !== undefined && targets.length > 0, title);
    assert.equal(datasource?.uid, "${datasource}");
    for (const { expr } of targets) {
      checkExpression(expr, families);
      for (const [, variable] of expr.matchAll(/"\$(\w+)"/g)) assert.ok(variables.has(variable), expr);
    }
  }
});

Deno.test("a rule that asks for what is not there, or cannot be read, is found (control)", () => {
  const families = page();
  for (
    const [expr, why] of [
      ["iservft_vm_stat == 1", /not on the page/],
      ['iservft_vm_state{status="x"}', /no label status/],
      ['iservft_vm_state{state="broken"}', /never has/],
      ["max by (vm) (iservft_link_up)", /has a label vm/],
      ["rate(iservft_vm_checkpoints_total)", /range is missing/],
      ["iservft_vm_checkpoints_total[5m]", /range is too much/],
      ["max by (vm) (iservft_vm_epoch", /expected/],
      ["iservft_vm_epoch >", /expected/],
      ["iservft_vm_epoch iservft_vm_term", /too much/],
      ["sqroot(iservft_vm_epoch)", /no function/],
      ['iservft_vm_state{state~"x"}', /cannot read|~/],
    ] as const
  ) assert.throws(() => checkExpression(expr, families), why, expr);
  assert.throws(() => parseMetrics('a{b="c} 1\n'));
  assert.throws(() => parseMetrics("# HELP a A.\n# TYPE a gauge\na 1\na 1\n"), /twice/);
});
