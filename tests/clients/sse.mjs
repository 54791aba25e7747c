// Runs an operation over an event stream with graphql-sse; prints every result.
import { createClient } from 'graphql-sse';

const [url, query, variables] = process.argv.slice(2);
const client = createClient({
  url,
  headers: { authorization: `Bearer ${process.env.DOITONG_API_KEY}` },
  retryAttempts: 0,
});
try {
  for await (const result of client.iterate({ query, variables: JSON.parse(variables ?? '{}') })) {
    console.log(JSON.stringify(result));
  }
  console.log(JSON.stringify('complete'));
} catch (error) {
  console.log(JSON.stringify({ error: error.response?.status ?? `${error}` }));
}
client.dispose();
