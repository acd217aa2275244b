/** One end of a TCP connection inside a namespace; started by lab_test.ts.
 * `listen ADDRESS` prints "ready" and accepts; `connect ADDRESS` prints "ready" when it stands, and "closed" when it ends. */

const PORT = 7098;
const [mode, hostname = ""] = Deno.args;
if (mode === "listen") {
  const listener = Deno.listen({ hostname, port: PORT });
  console.log("ready");
  const connection = await listener.accept();
  await connection.read(new Uint8Array(1));
} else {
  const connection = await Deno.connect({ hostname, port: PORT });
  console.log("ready");
  await connection.read(new Uint8Array(1)).catch(() => null);
  console.log("closed");
}
