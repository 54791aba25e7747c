// Watches a generation with Apollo Client over its own HttpLink, which takes subscriptions as multipart; prints every
// result.
import { ApolloClient, HttpLink, InMemoryCache, gql } from '@apollo/client/core';

const [uri, query, variables] = process.argv.slice(2);
const headers = { authorization: `Bearer ${process.env.DOITONG_API_KEY}` };
const client = new ApolloClient({ link: new HttpLink({ uri, headers }), cache: new InMemoryCache() });
const subscription = { query: gql(query), variables: JSON.parse(variables ?? '{}'), errorPolicy: 'all' };
await new Promise((resolve) => {
  client.subscribe(subscription).subscribe({
    next: ({ data, error }) => console.log(JSON.stringify({ data, error: error && { name: error.name, errors: error.errors } })),
    error: (error) => { console.log(JSON.stringify({ error: `${error}` })); resolve(); },
    complete: () => { console.log(JSON.stringify('complete')); resolve(); },
  });
});
client.stop();
