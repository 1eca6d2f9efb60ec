// Arguments: a URL, and an Origin of a page if there is one.
const mqtt = require("mqtt");
const [url, origin] = process.argv.slice(2);
const client = mqtt.connect(url, { reconnectPeriod: 0, protocolVersion: 4, wsOptions: { origin } });
client.on("connect", () => client.subscribe("room", () => client.publish("room", "hello")));
client.on("message", (topic, payload) => { console.log(topic, String(payload)); client.end(); });
// Of a handshake that is refused it says nothing more.
client.on("close", () => console.log("closed"));
