/** What the engine's calls fail with. */

import { EdgeError } from "../lib/errors.ts";

/** The engine's own error codes (ISF_E… in src/base.h), as they come back: negative. */
export const ENGINE_ERRORS = {
  EBASE: 10000,
  ECORRUPT: 10001,
  EVERSION: 10002,
  ELINK: 10003,
  ESTALE: 10004,
  ESTATE: 10005,
  EQEMU: 10006,
  EUNSUPPORTED: 10007,
  ELIMIT: 10008,
  EREFUSED: 10009,
} as const;

/** A call of the engine failed. `code` is what it returned: -errno or -ENGINE_ERRORS. */
export class EngineError extends EdgeError {
  readonly code: number;

  constructor(message: string, details: { op: string; hint: string; code: number }) {
    super(message, details);
    this.code = details.code;
  }

  /** True for this one of ENGINE_ERRORS. */
  is(name: keyof typeof ENGINE_ERRORS): boolean {
    return this.code === -ENGINE_ERRORS[name];
  }
}
