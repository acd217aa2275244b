/** The pair as a drawing: two nodes, the paths between them, who decides. Broad for a desk, tall for a phone; a table says the same. */

import type { ArbiterView, NodeView, PathView } from "../../lib/model/node.ts";
import type { VmView } from "../../lib/model/vm.ts";
import type { PageContext } from "../context.ts";
import { IconAt, type IconName } from "../icons.tsx";
import type { Translator } from "../i18n/translator.ts";

/** What the drawing shows. */
export interface Scene {
  nodes: readonly NodeView[];
  paths: readonly PathView[];
  arbiter: ArbiterView | null;
  vms: readonly VmView[];
}

/** Letters of a VM's name. */
const NAME_FITS = 16;
const NODE_HEIGHT = 150;

type PathLook = PathView["state"] | "active";

const PATH_ICONS: Readonly<Record<PathLook, IconName>> = {
  up: "check",
  active: "switchover",
  down: "cross",
  unknown: "unknown",
  unset: "unknown",
};

/** How a path looks and is called: the one that carries the data is told apart. */
export function pathLook(path: PathView): PathLook {
  return path.state === "up" && path.active ? "active" : path.state;
}

/** "214.6" out and "3.1" in, while something flows. */
function traffic(t: Translator, path: PathView): string | null {
  if (path.out_mbit === null || path.in_mbit === null || path.state !== "up" || !path.active) return null;
  return t("path.rate", { out: path.out_mbit, in: path.in_mbit });
}

/** "1 Gbit/s, 182 µs". */
function measures(t: Translator, path: PathView): string {
  return [
    path.speed_mbit === null ? null : speed(t, path.speed_mbit),
    path.rtt_us === null ? null : delay(t, path.rtt_us),
  ].filter((text) => text !== null).join(", ");
}

/** "182 µs", "2.4 ms". */
function delay(t: Translator, us: number): string {
  return us < 1000
    ? t("unit.us", { value: Math.round(us) })
    : t("unit.ms", { value: Math.round(us / 100) / 10 });
}

function speed(t: Translator, mbit: number): string {
  return mbit >= 1000 ? `${t.number(mbit / 1000)} Gbit/s` : t("unit.mbit", { value: mbit });
}

/** As much of a name as fits beside its line's other words. */
function short(name: string): string {
  return name.length > NAME_FITS ? `${name.slice(0, NAME_FITS - 1)}…` : name;
}

interface Line {
  text: string;
  icon: IconName;
}

/** What a node has of each VM. */
function vmLines(t: Translator, { vms }: Scene, options: { node: NodeView; whole: boolean }): Line[] {
  const { node, whole } = options;
  const lines = vms.flatMap((vm): Line[] => {
    const name = { vm: whole ? vm.name : short(vm.name) };
    if (vm.runs_on === node.name) return [{ text: t("node.runs", name), icon: "play" }];
    if (vm.backup_on !== node.name) return [];
    return [{ text: t(vm.sync === null ? "node.copy" : "node.copying", name), icon: "copy" }];
  });
  return lines.length === 0 ? [{ text: t("node.none"), icon: "vm" }] : lines;
}

/** The same, as much as fits into a box. */
function boxLines(t: Translator, scene: Scene, node: NodeView): Line[] {
  const lines = vmLines(t, scene, { node, whole: false });
  if (lines.length <= 3) return lines;
  return [...lines.slice(0, 2), { text: t("node.more", { count: lines.length - 2 }), icon: "vm" }];
}

interface Place {
  x: number;
  y: number;
  width: number;
}

function NodeBox(
  { context, scene, node, at }: { context: PageContext; scene: Scene; node: NodeView; at: Place },
) {
  const { t, nowMs } = context;
  const { x, y, width } = at;
  const gone = !node.reachable;
  const seconds = node.since === null ? null : (nowMs - Date.parse(node.since)) / 1000;
  const state = node.self
    ? t("node.self")
    : `${t(gone ? "node.gone" : "node.up")}${
      seconds === null ? "" : ` ${t("node.since", { duration: t.duration(seconds) })}`
    }`;
  return (
    <g class={gone ? "critical" : "ok"}>
      <rect class={gone ? "box gone" : "box"} x={x} y={y} width={width} height={NODE_HEIGHT} rx="6" />
      <IconAt name={gone ? "critical" : "node"} x={x + 12} y={y + 12} size={26} />
      <text class="name" x={x + 46} y={y + 28}>{node.name}</text>
      <text class={gone ? "bold" : "small"} x={x + 46} y={y + 47}>{state}</text>
      {boxLines(t, scene, node).map(({ text, icon }, i) => (
        <g>
          <IconAt name={icon} x={x + 14} y={y + 63 + i * 26} size={16} />
          <text x={x + 37} y={y + 76 + i * 26}>{text}</text>
        </g>
      ))}
    </g>
  );
}

function NoNode({ t, at }: { t: Translator; at: Place }) {
  return (
    <g class="info">
      <rect
        class="box"
        x={at.x}
        y={at.y}
        width={at.width}
        height={NODE_HEIGHT}
        rx="6"
        stroke-dasharray="4 6"
      />
      <text class="bold" x={at.x + at.width / 2} y={at.y + NODE_HEIGHT / 2} text-anchor="middle">
        {t("node.alone")}
      </text>
    </g>
  );
}

/** A line between the nodes, and its label over its middle. */
function Pipe(
  { t, path, line, label }: {
    t: Translator;
    path: PathView;
    line: readonly [x1: number, y1: number, x2: number, y2: number];
    label: Place;
  },
) {
  const look = pathLook(path);
  const [x1, y1, x2, y2] = line;
  const second = traffic(t, path) ?? measures(t, path);
  const rows = second === "" ? 1 : 2;
  const height = rows === 1 ? 30 : 48;
  const top = label.y - height / 2;
  return (
    <g class={look}>
      <line class={`pipe ${look}`} x1={x1} y1={y1} x2={x2} y2={y2} />
      <rect class="label" x={label.x} y={top} width={label.width} height={height} rx="4" />
      <IconAt name={PATH_ICONS[look]} x={label.x + 8} y={top + 7} size={16} />
      <text class="bold" x={label.x + 30} y={top + 20}>
        {`${t(`path.${path.name}`)}${t("colon")}${t(`path.${look}`)}`}
      </text>
      {rows === 2 && <text class="small" x={label.x + 30} y={top + 38}>{second}</text>}
    </g>
  );
}

function Arbiter({ t, arbiter, at }: { t: Translator; arbiter: ArbiterView; at: Place }) {
  const look = arbiter.state === "reachable" ? "up" : arbiter.state === "lost" ? "down" : "unknown";
  return (
    <g class={look}>
      <rect class="box" x={at.x} y={at.y} width={at.width} height="52" rx="6" />
      <IconAt name={look === "down" ? "cross" : "witness"} x={at.x + 12} y={at.y + 14} size={24} />
      <text class="bold" x={at.x + 46} y={at.y + 22}>
        {`${t(`arbiter.${arbiter.kind}`)}${t("colon")}${t(`arbiter.${arbiter.state}`)}`}
      </text>
      <text class="small" x={at.x + 46} y={at.y + 41}>{arbiter.address ?? ""}</text>
    </g>
  );
}

interface Drawing {
  context: PageContext;
  scene: Scene;
}

function Broad({ context, scene }: Drawing) {
  const { t } = context;
  const [first, second] = scene.nodes;
  const [left, right] = [{ x: 2, y: 14, width: 242 }, { x: 516, y: 14, width: 242 }];
  const look = scene.arbiter?.state === "reachable"
    ? "up"
    : scene.arbiter?.state === "lost"
    ? "down"
    : "unknown";
  return (
    <svg class="picture broad" viewBox={`0 0 760 ${scene.arbiter === null ? 180 : 250}`} aria-hidden="true">
      {scene.paths.map((path, i) => (
        <Pipe
          t={t}
          path={path}
          line={[244, 36 + i * 54, 516, 36 + i * 54]}
          label={{ x: 262, y: 36 + i * 54, width: 236 }}
        />
      ))}
      {scene.arbiter !== null && (
        <path class={`pipe ${look}`} d="M113 164V214H232M647 164V214H528" stroke-width="2" />
      )}
      {first !== undefined && <NodeBox context={context} scene={scene} node={first} at={left} />}
      {second !== undefined
        ? <NodeBox context={context} scene={scene} node={second} at={right} />
        : <NoNode t={t} at={right} />}
      {scene.arbiter !== null && (
        <Arbiter
          t={t}
          arbiter={scene.arbiter}
          at={{ x: 232, y: 188, width: 296 }}
        />
      )}
    </svg>
  );
}

/** A line downwards with its label in its middle: for phones. */
function Fall({ t, path, x }: { t: Translator; path: PathView; x: number }) {
  const look = pathLook(path);
  const out = look === "active" && path.out_mbit !== null ? t("unit.mbit", { value: path.out_mbit }) : null;
  const rtt = path.rtt_us === null ? null : delay(t, path.rtt_us);
  return (
    <g class={look}>
      <line class={`pipe ${look}`} x1={x + 54} y1="152" x2={x + 54} y2="276" />
      <rect class="label" x={x} y="174" width="108" height="78" rx="4" />
      <IconAt name={PATH_ICONS[look]} x={x + 8} y={182} size={16} />
      <text class="bold" x={x + 29} y="196">{t(`path.${path.name}`)}</text>
      <text class="small" x={x + 9} y="218">{t(`path.${look}`)}</text>
      <text class="small" x={x + 9} y="239">{out ?? rtt ?? ""}</text>
    </g>
  );
}

function Tall({ context, scene }: Drawing) {
  const { t } = context;
  const [first, second] = scene.nodes;
  const down = scene.paths.length === 0 ? 170 : 276;
  const [top, bottom] = [{ x: 2, y: 2, width: 336 }, { x: 2, y: down, width: 336 }];
  const end = down + NODE_HEIGHT;
  return (
    <svg
      class="picture tall"
      viewBox={`0 0 340 ${scene.arbiter === null ? end + 3 : end + 72}`}
      aria-hidden="true"
    >
      {scene.paths.map((path, i) => <Fall t={t} path={path} x={2 + i * 114} />)}
      {first !== undefined && <NodeBox context={context} scene={scene} node={first} at={top} />}
      {second !== undefined
        ? <NodeBox context={context} scene={scene} node={second} at={bottom} />
        : <NoNode t={t} at={bottom} />}
      {scene.arbiter !== null && (
        <Arbiter t={t} arbiter={scene.arbiter} at={{ x: 2, y: end + 16, width: 336 }} />
      )}
    </svg>
  );
}

/** The same in words: for screen readers, and for whom the drawing is too small. */
function Table({ context, scene }: Drawing) {
  const { t } = context;
  return (
    <details id="picture-table">
      <summary>{t("home.picture.table")}</summary>
      <div class="table-box" tabindex={0} role="region" aria-label={t("home.picture.table")}>
        <table>
          <thead>
            <tr>
              <th scope="col">{t("home.path")}</th>
              <th scope="col">{t("home.state")}</th>
              <th scope="col">{t("path.speed")}</th>
              <th scope="col">{t("path.rtt")}</th>
              <th scope="col">{t("path.traffic")}</th>
              <th scope="col">{t("path.interface")}</th>
            </tr>
          </thead>
          <tbody>
            {scene.nodes.map((node) => (
              <tr>
                <th scope="row">{node.name}</th>
                <td colspan={5}>
                  {node.self ? t("node.self") : t(node.reachable ? "node.up" : "node.gone")}
                  {"; "}
                  {vmLines(t, scene, { node, whole: true }).map(({ text }) => text).join("; ")}
                </td>
              </tr>
            ))}
            {scene.paths.map((path) => (
              <tr>
                <th scope="row">{t(`path.${path.name}`)}</th>
                <td>{t(`path.${pathLook(path)}`)}</td>
                <td>{path.speed_mbit === null ? t("unknown") : speed(t, path.speed_mbit)}</td>
                <td>
                  {path.rtt_us === null ? t("unknown") : delay(t, path.rtt_us)}
                </td>
                <td>{traffic(t, path) ?? t("none")}</td>
                <td>{path.interface ?? t("unknown")}</td>
              </tr>
            ))}
            {scene.arbiter !== null && (
              <tr>
                <th scope="row">{t(`arbiter.${scene.arbiter.kind}`)}</th>
                <td colspan={5}>{t(`arbiter.${scene.arbiter.state}`)}</td>
              </tr>
            )}
          </tbody>
        </table>
      </div>
    </details>
  );
}

/** See above. */
export function Picture(drawing: Drawing) {
  return (
    <>
      <Broad {...drawing} />
      <Tall {...drawing} />
      <Table {...drawing} />
    </>
  );
}
