/** Sends or counts datagrams inside a namespace; started by lab_test.ts.
 * `listen ADDRESS` prints "ready", then a line for each datagram; `send ADDRESS COUNT` sends. */

import { createSocket } from "node:dgram";

const PORT = 7099;
const [mode, address = "", count = "1"] = Deno.args;
const socket = createSocket("udp4");
if (mode === "listen") {
  socket.on("message", (message) => console.log(message.toString()));
  socket.bind(PORT, address, () => console.log("ready"));
} else {
  for (let i = 0; i < Number(count); i++) {
    await new Promise<void>((done) => socket.send(`datagram ${i}`, PORT, address, () => done()));
    await new Promise((done) => setTimeout(done, 5));
  }
  socket.close();
}
