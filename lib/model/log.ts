/** What is said to whoever reads the service's log. A type alone: lib/observe/log.ts writes it. */

export const LOG_LEVELS = ["debug", "info", "warning", "error", "critical"] as const;
export type LogLevel = typeof LOG_LEVELS[number];

/** Values that go with a line. */
export type LogFields = Record<string, unknown>;

/** Says one line; never throws, never waits. */
export type Log = (level: LogLevel, message: string, fields?: LogFields) => void;
