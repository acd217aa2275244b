import assert from "node:assert/strict";
import { boundedLines, engineEvents, parseEvent } from "../../ffi/events.ts";

async function* pieces(...texts: string[]) {
  for (const text of texts) yield await Promise.resolve(new TextEncoder().encode(text));
}

async function lines(max: number, ...texts: string[]): Promise<string[]> {
  const found: string[] = [];
  for await (const line of boundedLines(pieces(...texts), max)) found.push(line);
  return found;
}

Deno.test("lines come whole however they were cut, a letter of two bytes included", async () => {
  const text = "ab\nçé\n\nlast\n";
  const bytes = new TextEncoder().encode(text);
  for (let cut = 0; cut <= bytes.length; cut++) {
    const found: string[] = [];
    const parts = (async function* () {
      yield await Promise.resolve(bytes.subarray(0, cut));
      yield bytes.subarray(cut);
    })();
    for await (const line of boundedLines(parts, 10)) found.push(line);
    assert.deepEqual(found, ["ab", "çé", "", "last"], `cut at ${cut}`);
  }
});

Deno.test("a line beyond the bound is refused, with its end or without", async () => {
  assert.deepEqual(await lines(4, "1234\n"), ["1234"]);
  await assert.rejects(lines(4, "12345\n"), /longer than 4 bytes/);
  await assert.rejects(lines(4, "123", "45"), /longer than 4 bytes/);
});

Deno.test("an event is read into its type, with flags as booleans", () => {
  const line = '{"event":"peer","t_us":12,"silent":1,"lan_answers":false,"more":"ignored"}';
  assert.deepEqual(parseEvent(line), { event: "peer", t_us: 12, silent: true, lan_answers: false });
});

Deno.test("what is no event of this build is an error that says so", () => {
  const cases: [string, RegExp][] = [
    ["{", /no JSON/],
    ["3", /no object/],
    ['{"event":"constructor","t_us":1}', /unknown event "constructor"/],
    ['{"event":"active","link":0}', /active has no time/],
    ['{"event":"active","t_us":1}', /active: link is undefined, not a number/],
    ['{"event":"active","t_us":1,"link":"0"}', /active: link is "0", not a number/],
    ['{"event":"active","t_us":1,"link":1e300}', /active: link is 1e\+300, not a number/],
    ['{"event":"path","t_us":1,"path":0,"alive":2}', /path: alive is 2, not a flag/],
  ];
  for (const [line, expected] of cases) assert.throws(() => parseEvent(line), expected);
});

Deno.test("the sequence ends with the engine, and quietly when it is given up", async () => {
  const dir = await Deno.makeTempDir();
  const listener = Deno.listen({ transport: "unix", path: `${dir}/events.sock` });
  try {
    for (const giveUp of [false, true]) {
      const give = new AbortController();
      const seen: string[] = [];
      const reading = (async () => {
        for await (const event of engineEvents(dir, give.signal)) seen.push(event.event);
      })();
      const connection = await listener.accept();
      await connection.write(
        new TextEncoder().encode('{"event":"handed","t_us":1,"epoch":4,"stopped_us":1}\n'),
      );
      while (seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      if (giveUp) give.abort();
      else connection.close();
      await reading;
      assert.deepEqual(seen, ["handed"]);
      if (giveUp) connection.close();
    }
  } finally {
    listener.close();
    await Deno.remove(dir, { recursive: true });
  }
});
