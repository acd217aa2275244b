/** Lines are cut, one way or both, all or some: rows 5 to 8; or damage what they carry: row 15. */

import { DamagingProxy } from "../damaging_proxy.ts";
import { type Host, HOSTS } from "../places.ts";
import { reached, type Wanted } from "../scene.ts";
import { BLOWS, damageLine, refusals } from "./damage.ts";
import { type PairKind, type Row, RowFailure, STANDARD } from "./row.ts";
import type { Stage } from "./stage.ts";

/** Data moved to this line. */
export function active(link: number): Wanted {
  return (event) => event.event === "active" && event["link"] === link;
}

function alarm(code: string): Wanted {
  return (event) => event.event === "alarm" && event["code"] === code;
}

function dead(path: number): Wanted {
  return (event) => event.event === "path" && event["path"] === path && event["alive"] === false;
}

/** Data must be on link A before it can move away from it. */
async function onLinkA(stage: Stage): Promise<void> {
  await stage.until(
    "the data is on link A",
    async () => (await stage.scene.status(stage.primary)).engine.link_active === 0,
  );
}

const linkCut: Row = {
  number: 5,
  fault: "link A cut",
  outcome: "data moves to link B and back, still protected, no role changes",
  kind: STANDARD,
  random: true,
  async strike(stage) {
    const { primary } = stage;
    await onLinkA(stage);
    const roles = stage.watchRoles();
    const toB = stage.next(primary, active(1));
    const told = stage.next(primary, alarm("link"));
    const fault = await stage.lab.cutLink("a");
    await toB();
    await told();
    await stage.answers(20);
    const back = stage.next(primary, active(0));
    await stage.lab.mendLink("a");
    await back();
    stage.expect(roles().length === 0, "nobody's part changes");
    return { fault, survivor: null };
  },
};

const linksCut: Row = {
  number: 6,
  fault: "links A and B cut, LAN alive",
  outcome: "exactly one goes on, the other gives its copy up",
  kind: STANDARD,
  random: true,
  async strike(stage) {
    const { primary, backup } = stage;
    const alone = stage.next(primary, reached("solo"));
    const promised = stage.next(backup, reached("stale"));
    const fault = await stage.timed(() => Promise.all([stage.lab.cutLink("a"), stage.lab.cutLink("b")]));
    await promised();
    await alone();
    return { fault, survivor: primary };
  },
};

/** Cuts a host off from everything at once. */
function isolate(stage: Stage, host: Host): Promise<unknown> {
  return Promise.all([stage.lab.cutLink("a"), stage.lab.cutLink("b"), stage.lab.cutLan(host)]);
}

const backupIsolated: Row = {
  number: 7,
  fault: "links and LAN cut: the backup is isolated",
  outcome: "the backup holds, the primary goes on",
  kind: STANDARD,
  random: true,
  async strike(stage) {
    const { primary, backup } = stage;
    const from = stage.runner(backup).events.length;
    const alone = stage.next(primary, reached("solo"));
    const held = stage.next(backup, alarm("held"));
    const fault = await stage.timed(() => isolate(stage, backup));
    await alone();
    await held();
    await stage.answers(20);
    const started = stage.runner(backup).events.slice(from).some(reached("promoting"));
    stage.expect(!started, "the isolated backup does not start its copy");
    return { fault, survivor: primary };
  },
};

const primaryIsolated: Row = {
  number: 7,
  fault: "links and LAN cut: the primary is isolated",
  outcome: "the primary holds its output, the backup takes over",
  kind: STANDARD,
  random: true,
  async strike(stage) {
    const { primary, backup } = stage;
    const promoted = stage.next(backup, reached("solo"));
    const held = stage.next(primary, alarm("held"));
    const fault = await stage.timed(() => isolate(stage, primary));
    await promoted();
    await held();
    await stage.answers(20);
    const fenced = stage.next(primary, reached("fencing"));
    await stage.lab.restore();
    await fenced();
    return { fault, survivor: backup };
  },
};

const oneWay: Row = {
  number: 8,
  fault: "one-way loss on link A",
  outcome: "the line is dead for both, data moves to link B",
  kind: STANDARD,
  random: true,
  async strike(stage) {
    const { primary, backup } = stage;
    await onLinkA(stage);
    const roles = stage.watchRoles();
    const toB = stage.next(primary, active(1));
    const noticed = [stage.next(primary, dead(0)), stage.next(backup, dead(0))];
    const fault = await stage.lab.cutLink("a", stage.random() < 0.5 ? "a-to-b" : "b-to-a");
    await Promise.all(noticed.map((wait) => wait()));
    await toB();
    await stage.answers(20);
    const back = stage.next(primary, active(0));
    await stage.lab.mendLink("a");
    await back();
    stage.expect(roles().length === 0, "nobody's part changes");
    return { fault, survivor: null };
  },
};

/** Link A goes through a proxy that damages what it is told to. */
const PROXIED: PairKind = {
  key: "proxied",
  options: {},
  prepare: (scene) => DamagingProxy.start(scene.lab, scene.self),
};

const damaged: Row = {
  number: 15,
  fault: "bytes of link A flipped, truncated, duplicated, reordered, both ways",
  outcome: "refused before use, the line is made again, nobody's part changes",
  kind: PROXIED,
  random: false,
  async strike(stage) {
    const { primary, scene, prepared: proxy } = stage;
    if (!(proxy instanceof DamagingProxy)) throw new RowFailure("there is no proxy in link A");
    await onLinkA(stage);
    const refused = () => HOSTS.flatMap((host) => refusals(stage.runner(host).events)).length;
    const before = refused();
    await stage.answers(50);
    stage.expect(refused() === before, "what the proxy does not damage is not refused");
    const roles = stage.watchRoles();
    const at_us = stage.clock();
    for (const blow of BLOWS) {
      await damageLine({ scene, proxy, primary }, blow);
      await stage.answers(20);
    }
    stage.expect(roles().length === 0, "nobody's part changes");
    return { fault: { at_us, done_us: stage.clock() }, survivor: null, note: `${BLOWS.length} refused` };
  },
};

export const LINK_ROWS: readonly Row[] = [
  linkCut,
  linksCut,
  backupIsolated,
  primaryIsolated,
  oneWay,
  damaged,
];
