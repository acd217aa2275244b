/** Waits for what shows in something that tells of its changes, with a bound. */

const LOOK_MS = 250;

/** Resolves with true once `seen` holds, with what is so then after `bound_ms`, or when nobody is left to tell (`over`). */
export function untilSeen(
  seen: () => boolean,
  options: { bound_ms: number; watch(look: () => void): Disposable; over(): boolean },
): Promise<boolean> {
  const until_ms = performance.now() + options.bound_ms;
  return new Promise((resolve) => {
    const look = () => {
      if (!seen() && performance.now() < until_ms && !options.over()) return;
      clearInterval(timer);
      watch[Symbol.dispose]();
      resolve(seen());
    };
    const watch = options.watch(look);
    const timer = setInterval(look, LOOK_MS);
    look();
  });
}
