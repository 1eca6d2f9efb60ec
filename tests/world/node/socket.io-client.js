// Arguments: a URL, and an Origin of a page if there is one. A page begins with WebSocket, others end there.
const { io } = require("socket.io-client");
const [url, origin] = process.argv.slice(2);
const options = origin ? { transports: ["websocket"], extraHeaders: { Origin: origin } } : {};
const socket = io(url, { reconnection: false, ...options });
const shout = () => socket.emit("shout", "hello", (answer) => {
  console.log(socket.io.engine.transport.name, answer);
  socket.disconnect();
});
// By now it may have gone over to WebSocket already.
socket.on("connect", () =>
  socket.io.engine.transport.name === "websocket" ? shout() : socket.io.engine.once("upgrade", shout));
socket.on("connect_error", (error) => console.log("refused", error.description.message));
