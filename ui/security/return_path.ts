/** Where to go after signing in. */

/** The path to come back to: only ever one of ours. */
export function returnPath(path: string | undefined): string {
  return path !== undefined && /^\/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,500}$/.test(path) ? path : "/";
}
