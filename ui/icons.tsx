/** Icons: drawn here, 24 units square, in the colour of the text around them. Each is beside words, so screen readers skip them. */

import type { Severity } from "../lib/model/sentence.ts";

const PATHS = {
  ok: "M12 2 4 5v6c0 5 3.4 9.2 8 11 4.6-1.8 8-6 8-11V5zM8 12l3 3 5-6",
  info: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 11v6M12 7.2v.1",
  warning: "M12 3 2 20h20zM12 10v4.5M12 17.4v.1",
  critical: "M8 2.5h8L21.5 8v8L16 21.5H8L2.5 16V8zM8.5 8.5l7 7M15.5 8.5l-7 7",
  node: "M4 4h16v6H4zM4 14h16v6H4zM7.5 7h.1M7.5 17h.1M12 7h5M12 17h5",
  vm: "M3 4h18v12H3zM9 20h6M12 16v4",
  lan: "M9 3h6v5H9zM3 16h6v5H3zM15 16h6v5h-6zM12 8v4M6 16v-4h12v4",
  witness: "M2 12c3-5 6.3-7 10-7s7 2 10 7c-3 5-6.3 7-10 7s-7-2-10-7zM12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
  play: "M7 4v16l13-8z",
  stop: "M6 6h12v12H6z",
  shield: "M12 2 4 5v6c0 5 3.4 9.2 8 11 4.6-1.8 8-6 8-11V5z",
  unshield: "M12 2 4 5v6c0 5 3.4 9.2 8 11 4.6-1.8 8-6 8-11V5zM3 3l18 18",
  switchover: "M4 8h14l-4-4M20 16H6l4 4",
  trash: "M4 6h16M9 6V3h6v3M6 6l1 15h10l1-15M10 10v7M14 10v7",
  check: "M4 12.500l5 5L20 6.5",
  console: "M3 4h18v16H3zM7 9l3 3-3 3M12 15h5",
  screen: "M3 4h18v12H3zM8 20h8",
  clock: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7v5l3.5 2",
  copy: "M8 8h12v12H8zM16 8V4H4v12h4",
  unknown:
    "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM9.5 9.500a2.5 2.5 0 1 1 3.5 2.300c-.7.3-1 .8-1 1.700M12 17v.1",
  cross: "M6 6l12 12M18 6 6 18",
  plus: "M12 5v14M5 12h14",
  home: "M3 11l9-8 9 8M5.5 9.500V20h13V9.500M10 20v-6h4v6",
  events: "M8 6h13M8 12h13M8 18h13M3.5 6h.1M3.5 12h.1M3.5 18h.1",
  settings: "M4 7h9M17 7h3M4 17h3M11 17h9M15 4.500v5M9 14.500v5",
  docs: "M12 6c-2-1.5-5-2-9-2v14c4 0 7 .5 9 2 2-1.5 5-2 9-2V4c-4 0-7 .5-9 2zM12 6v14",
  user: "M12 3.500a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM4 21c.5-4.5 3.5-7 8-7s7.5 2.5 8 7",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M5 19l2-2M17 7l2-2",
  out: "M10 4H4v16h6M15 8l4 4-4 4M19 12H9",
  down: "M6 9l6 6 6-6",
  right: "M9 6l6 6-6 6",
} as const;
export type IconName = keyof typeof PATHS;

/** The icon of a severity: each has its own outline, so that colour is never the only sign. */
export const SEVERITY_ICONS = {
  ok: "ok",
  info: "info",
  warning: "warning",
  critical: "critical",
} as const satisfies Record<Severity, IconName>;

/** An icon beside words. */
export function Icon({ name, size }: { name: IconName; size?: number }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" width={size ?? 20} height={size ?? 20} aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** The same inside another drawing, at x, y. */
export function IconAt({ name, x, y, size }: { name: IconName; x: number; y: number; size: number }) {
  return (
    <svg class="icon" x={x} y={y} viewBox="0 0 24 24" width={size} height={size} aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
