/** Waits that end. */

/** What a promise comes to, or the signal's reason when that comes first. */
export async function ended<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const stopped = Promise.withResolvers<never>();
  const stop = () => stopped.reject(signal.reason);
  if (signal.aborted) stop();
  else signal.addEventListener("abort", stop);
  try {
    return await Promise.race([promise, stopped.promise]);
  } finally {
    signal.removeEventListener("abort", stop);
    // Whoever lost is not waited for any more: its failure is nobody's.
    promise.catch(() => {});
    stopped.promise.catch(() => {});
  }
}
