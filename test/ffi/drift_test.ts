import assert from "node:assert/strict";
import { ENGINE_ERRORS } from "../../ffi/engine.ts";
import { EVENT_FIELDS } from "../../ffi/events.ts";
import { ABI, MODES, STATUS_BYTES, STATUS_FIELDS, TRACKERS } from "../../ffi/status.ts";
import { symbols } from "../../ffi/symbols.ts";
import { denoType, enumValues, eventTable, prototypes, structFields } from "./header.ts";

const read = (path: string) => Deno.readTextFileSync(new URL(`../../ffi/${path}`, import.meta.url));

interface Row {
  parameters: readonly string[];
  result: string;
  nonblocking: boolean;
}

function tableRows(): Record<string, Row> {
  return Object.fromEntries(
    Object.entries(symbols).map(([name, row]) => [name, {
      parameters: row.parameters,
      result: row.result,
      nonblocking: "nonblocking" in row && row.nonblocking,
    }]),
  );
}

function headerRows(header: string): Record<string, Row> {
  return Object.fromEntries(
    prototypes(header).map((p) => [p.name, {
      parameters: p.parameters.map((declaration) => denoType(declaration, "parameter")),
      result: denoType(p.result, "result"),
      nonblocking: p.slow,
    }]),
  );
}

/** The declarations in the comments of symbols.ts, by function. */
function quoted(source: string): Record<string, string[]> {
  const rows: Record<string, string[]> = {};
  let name = "";
  for (const line of source.split("\n")) {
    name = /^ {2}(isf_\w+): \{/.exec(line)?.[1] ?? name;
    if (name !== "") rows[name] ??= [];
    const declaration = /^ {6}"\w+", \/\/ (.+)$/.exec(line)?.[1];
    if (declaration !== undefined) rows[name]?.push(declaration);
  }
  return rows;
}

Deno.test("the table of functions has exactly the header's functions and types", () => {
  assert.deepEqual(tableRows(), headerRows(read("iservft.h")));
});

Deno.test("each parameter of the table quotes its C declaration", () => {
  const header = Object.fromEntries(prototypes(read("iservft.h")).map((p) => [p.name, p.parameters]));
  assert.deepEqual(quoted(read("symbols.ts")), header);
});

Deno.test("a wrong width, a missing function and a lost SLOW are noticed", () => {
  const header = read("iservft.h");
  for (
    const [from, to] of [
      [
        "isf_promote(isf_engine *engine, uint64_t term, int32_t gave_way)",
        "isf_promote(isf_engine *engine, uint32_t term, int32_t gave_way)",
      ],
      ["int64_t isf_disk_bytes", "int32_t isf_disk_bytes"],
      ["ISF_API int32_t isf_hold(isf_engine *engine);", ""],
      ["/* SLOW. Forgets QEMU", "/* Forgets QEMU"],
    ] as const
  ) {
    const changed = header.replace(from, to);
    assert.notEqual(changed, header, `the header no longer holds "${from}"`);
    assert.throws(() => assert.deepEqual(tableRows(), headerRows(changed)), assert.AssertionError, from);
  }
});

Deno.test("the status table has the header's fields in its order", () => {
  assert.deepEqual(STATUS_FIELDS, structFields(read("iservft.h"), "isf_status"));
});

Deno.test("a field that is added, moved or resized in the status page is noticed", () => {
  const header = read("iservft.h");
  for (
    const [from, to] of [
      ["link_up[2]", "link_up[3]"],
      ["uint64_t mode, generation", "uint64_t generation, mode"],
      ["page_raw;", "page_raw, page_new;"],
    ] as const
  ) {
    const changed = header.replace(from, to);
    assert.notEqual(changed, header, `the header no longer holds "${from}"`);
    assert.notDeepEqual(structFields(changed, "isf_status"), STATUS_FIELDS, from);
  }
  assert.throws(() => structFields(header.replace("uint64_t tracker;", "uint32_t tracker;"), "isf_status"));
});

Deno.test("modes, trackers, error codes and ABI are the header's", () => {
  const header = read("iservft.h");
  assert.deepEqual(enumValues(header, { start: /enum isf_mode/, prefix: "ISF_" }), MODES);
  assert.deepEqual(
    enumValues(read("src/tracker.h"), { start: /enum tracker_kind \{/, prefix: "TRACKER_" }),
    TRACKERS,
  );
  const errors = read("src/base.h");
  assert.deepEqual(enumValues(errors, { start: /enum \{\s+ISF_EBASE/, prefix: "ISF_" }), ENGINE_ERRORS);
  assert.equal(Number(/#define ISF_ABI (\d+)/.exec(header)?.[1]), ABI);
});

Deno.test("the events are the header's, field by field", () => {
  const table = Object.fromEntries(
    Object.entries(EVENT_FIELDS).map(([name, row]) => [name, Object.keys(row)]),
  );
  assert.deepEqual(table, eventTable(read("iservft.h")));
});

Deno.test("the C compiler agrees on the size of the status page", async () => {
  const source =
    `#include "iservft.h"\n_Static_assert(sizeof(struct isf_status) == ${STATUS_BYTES}, "size");\n`;
  const compile = async (text: string) => {
    const child = new Deno.Command("gcc", {
      args: [
        "-std=c11",
        "-fsyntax-only",
        "-I",
        new URL("../../ffi", import.meta.url).pathname,
        "-x",
        "c",
        "-",
      ],
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
    return (await child.status).code;
  };
  assert.equal(await compile(source), 0);
  assert.notEqual(await compile(source.replace(`${STATUS_BYTES}`, `${STATUS_BYTES + 8}`)), 0);
});
