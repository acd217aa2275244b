import assert from "node:assert/strict";
import { QmpClient, QmpError } from "../../lib/vm/qmp.ts";

const GREETING = '{"QMP": {"version": {}, "capabilities": []}}\r\n';

/** A monitor that answers by `answer`: what it returns is sent. */
async function monitor(answer: (command: string, id: number) => string, greeting = GREETING) {
  const dir = await Deno.makeTempDir();
  const path = `${dir}/qmp.sock`;
  const listener = Deno.listen({ transport: "unix", path });
  const connections = new Set<Deno.UnixConn>();
  const serving = (async () => {
    for await (const connection of listener) {
      connections.add(connection);
      serve(connection, answer, greeting).catch(() => {});
    }
  })();
  return {
    path,
    drop: () => connections.forEach((connection) => connection.close()),
    async [Symbol.asyncDispose]() {
      listener.close();
      for (const connection of connections) {
        try {
          connection.close();
        } catch {
          // Closed by the test already.
        }
      }
      await serving.catch(() => {});
      await Deno.remove(dir, { recursive: true });
    },
  };
}

async function serve(
  connection: Deno.UnixConn,
  answer: (command: string, id: number) => string,
  greeting: string,
) {
  const write = async (text: string) => {
    const bytes = new TextEncoder().encode(text);
    for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
  };
  await write(greeting);
  const buffer = new Uint8Array(65536);
  let held = "";
  for (let n = await connection.read(buffer); n !== null; n = await connection.read(buffer)) {
    held += new TextDecoder().decode(buffer.subarray(0, n));
    const lines = held.split("\n");
    held = lines.pop() ?? "";
    for (const line of lines) {
      const { execute, id } = JSON.parse(line);
      await write(execute === "qmp_capabilities" ? `{"return": {}, "id": ${id}}\n` : answer(execute, id));
    }
  }
}

const kind = (wanted: string) => (error: unknown) => error instanceof QmpError && error.kind === wanted;

Deno.test("answers find their commands in whatever order they come", async () => {
  let first = "";
  await using at = await monitor((command, id) => {
    if (command === "a") {
      first = `{"return": "for a", "id": ${id}}\n`;
      return "";
    }
    return `{"return": "for b", "id": ${id}}\n${first}`;
  });
  await using client = await QmpClient.connect(at.path);
  assert.deepEqual(await Promise.all([client.execute("a"), client.execute("b")]), ["for a", "for b"]);
});

Deno.test("events come between answers, also in pieces and many in one", async () => {
  await using at = await monitor((_, id) =>
    `{"event": "STOP", "timestamp": {}}\n{"event": "JOB", "data": {"x": 1}}\n{"return": 1, "id": ${id}}\n`
  );
  await using client = await QmpClient.connect(at.path);
  const seen: unknown[] = [];
  client.onEvent((event) => seen.push(event));
  await client.execute("a");
  assert.deepEqual(seen, [{ event: "STOP", data: {} }, { event: "JOB", data: { x: 1 } }]);
});

Deno.test("a monitor that does not answer is an error after the bound, and a late answer harms nobody", async () => {
  let late = "";
  await using at = await monitor((command, id) => {
    if (command === "never") {
      late = `{"return": "late", "id": ${id}}\n`;
      return "";
    }
    return `${late}{"return": "now", "id": ${id}}\n`;
  });
  await using client = await QmpClient.connect(at.path);
  await assert.rejects(client.execute("never", { timeoutMs: 20 }), kind("Timeout"));
  assert.equal(await client.execute("next"), "now");
});

Deno.test("a wait can be given up", async () => {
  await using at = await monitor(() => "");
  await using client = await QmpClient.connect(at.path);
  const give = new AbortController();
  const waiting = client.execute("never", { signal: give.signal });
  give.abort(new Error("given up"));
  await assert.rejects(waiting, /given up/);
});

Deno.test("when the monitor goes away every wait ends, and later commands fail at once", async () => {
  await using at = await monitor(() => "");
  await using client = await QmpClient.connect(at.path);
  const waits = [client.execute("a"), client.awaitEvent(() => true)];
  const ended = Promise.allSettled(waits);
  at.drop();
  for (const result of await ended) {
    assert.equal(result.status, "rejected");
    assert.ok(kind("Closed")(result.reason), String(result.reason));
  }
  await client.closed;
  await assert.rejects(client.execute("b"), kind("Closed"));
});

Deno.test("who greets with garbage, or not at all, is no monitor", async () => {
  await using garbage = await monitor(() => "", "HTTP/1.1 400\r\n");
  await assert.rejects(QmpClient.connect(garbage.path, { timeoutMs: 200 }), QmpError);
  await using silent = await monitor(() => "", "");
  await assert.rejects(QmpClient.connect(silent.path, { timeoutMs: 20 }), kind("Timeout"));
});

Deno.test("an answer without an end is cut off at the bound", async () => {
  await using at = await monitor(() => "x".repeat(5 << 20));
  await using client = await QmpClient.connect(at.path);
  await assert.rejects(client.execute("a"), kind("Closed"));
});
