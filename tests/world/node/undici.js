// Arguments: a URL, and an Origin of a page if there is one.
const { WebSocket } = require("undici");
const [url, origin] = process.argv.slice(2);
const socket = new WebSocket(url, origin ? { headers: { origin } } : {});
let opened = false;
socket.onopen = () => { opened = true; socket.send("hello"); };
socket.onmessage = ({ data }) => { console.log(data, socket.extensions); socket.close(1000, "done"); };
socket.onclose = ({ code, reason }) => console.log(opened ? "closed" : "refused", code, reason);
