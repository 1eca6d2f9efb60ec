// Arguments: a URL, and an Origin of a page if there is one.
const { createClient } = require("graphql-ws");
const WebSocket = require("ws");
const [url, origin] = process.argv.slice(2);
class Page extends WebSocket {
  constructor(address, protocols) { super(address, protocols, { origin }); }
}
const client = createClient({ url, webSocketImpl: Page, retryAttempts: 0 });
const numbers = [];
client.subscribe({ query: "subscription { count(to: 3) }" }, {
  next: ({ data }) => numbers.push(data.count),
  error: (error) => console.log("refused", error.message || error.reason || error),
  complete: async () => { console.log(numbers.join(" ")); await client.dispose(); },
});
