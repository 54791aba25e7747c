// Watches a generation over a websocket with graphql-ws; prints every state and how the connection was closed.
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const [url, query, variables] = process.argv.slice(2);
const client = createClient({
  url,
  webSocketImpl: WebSocket,
  connectionParams: { authorization: `Bearer ${process.env.DOITONG_API_KEY}` },
  retryAttempts: 0,
});
client.on('closed', ({ code, reason }) => console.log(JSON.stringify({ closed: code, reason })));
try {
  for await (const result of client.iterate({ query, variables: JSON.parse(variables ?? '{}') })) {
    console.log(JSON.stringify(result));
  }
  console.log(JSON.stringify('complete'));
} catch (error) {
  console.log(JSON.stringify({ error: error.code ?? error }));
}
await client.dispose();
