/** Keeps the page true: the node pushes that something changed, the page is asked for again, and its live pieces are brought up to date. When
 * the node is not heard, the page says so. */

import { morph } from "./morph.ts";
import { refreshTimes, timeOfDay } from "./times.ts";
import { make, nodeNow, word } from "./words.ts";

/** Between two refreshes, ms. */
const REST_MS = 1500;
/** Silence after which the node is asked whether it is there, ms. */
const SILENCE_MS = 5000;
const ANSWER_MS = 4000;

const root = document.documentElement;

/** When the node was heard last, and what is under way. */
let heard_ms = Date.now();
let known_ms = nodeNow();
let refreshing = false;
let wanted = false;
let stream: EventSource | null = null;
/** Where the live pieces are asked for. The answer to a form may stand at an address that only takes forms: then what all pages have is
 * brought up to date from one that every reader may see. */
let page = location.href;
const ANY_PAGE = "/docs";

function banner(...inside: (Node | string)[]): void {
  const place = document.getElementById("connection");
  if (
    place === null ||
    place.textContent === inside.map((part) => typeof part === "string" ? part : part.textContent).join("")
  ) {
    return;
  }
  place.replaceChildren(...inside);
}

function lost(): void {
  if (root.dataset.offline === "expired") return;
  root.dataset.offline = "lost";
  banner(word("connection.lost", { node: root.dataset.node ?? "", time: timeOfDay(known_ms) }));
}

function expired(): void {
  root.dataset.offline = "expired";
  stream?.close();
  const here = page === ANY_PAGE
    ? encodeURIComponent("/")
    : encodeURIComponent(location.pathname + location.search);
  banner(
    word("connection.expired", { time: timeOfDay(known_ms) }),
    make("a", { href: `/login?next=${here}` }, word("connection.login")),
  );
}

function back(): void {
  heard_ms = Date.now();
  if (root.dataset.offline === undefined || root.dataset.offline === "expired") return;
  delete root.dataset.offline;
  banner();
}

/** Asks for this page again, and takes over what is live in it. */
async function refresh(): Promise<void> {
  const asked = page;
  const answer = await fetch(asked, {
    headers: { accept: "text/html" },
    cache: "no-store",
    signal: AbortSignal.timeout(ANSWER_MS * 2),
  });
  if (new URL(answer.url).pathname !== new URL(asked, location.href).pathname) return expired();
  if (answer.status === 404 || answer.status === 405) {
    if (page !== ANY_PAGE) wanted = true;
    page = ANY_PAGE;
    return;
  }
  if (!answer.ok) return;
  const next = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const now of document.querySelectorAll("[data-live][id]")) {
    const piece = next.getElementById(now.id);
    if (piece !== null) morph(now, document.importNode(piece, true));
  }
  known_ms = nodeNow();
  back();
  refreshTimes();
  document.dispatchEvent(new CustomEvent("iservft:refreshed"));
}

/** Soon, and not more often than REST_MS. */
export function wantRefresh(): void {
  wanted = true;
  if (refreshing || document.hidden) return;
  refreshing = true;
  wanted = false;
  refresh().catch(() => {}).finally(() =>
    setTimeout(() => {
      refreshing = false;
      if (wanted) wantRefresh();
    }, REST_MS)
  );
}

function open(url: string): void {
  stream?.close();
  const source = new EventSource(url);
  stream = source;
  const told = (event: MessageEvent<string>) => {
    back();
    document.dispatchEvent(new CustomEvent(`iservft:${event.type}`, { detail: JSON.parse(event.data) }));
  };
  source.addEventListener("open", () => {
    back();
    wantRefresh();
  });
  source.addEventListener("snapshot", (event) => {
    told(event);
    wantRefresh();
  });
  source.addEventListener("event", (event) => {
    told(event);
    wantRefresh();
  });
  source.addEventListener("sample", told);
  // It was refused: the page itself says whether its reader is still signed in.
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) wantRefresh();
  });
}

/** The stream's own comments are not seen here, and a machine without power closes nothing: so the node is asked. */
async function check(url: string): Promise<void> {
  if (document.hidden || root.dataset.offline === "expired" || Date.now() - heard_ms < SILENCE_MS) return;
  try {
    const answer = await fetch("/healthz", { cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
    if (!answer.ok) throw new Error(String(answer.status));
    const away = root.dataset.offline !== undefined;
    back();
    if (stream === null || stream.readyState === EventSource.CLOSED) open(url);
    if (away) wantRefresh();
  } catch {
    lost();
  }
}

/** Begins, on pages that have something live. */
export function startLive(): void {
  const url = root.dataset.stream;
  if (url === undefined) return;
  open(url);
  setInterval(() => void check(url), SILENCE_MS / 2);
  document.addEventListener("visibilitychange", () => wantRefresh());
}
