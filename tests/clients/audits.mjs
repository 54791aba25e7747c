// Runs the audits of GraphQL over HTTP against DOITONG_URL; prints those that do not pass and how many do.
import { serverAudits } from 'graphql-http';

const authorization = `Bearer ${process.env.DOITONG_API_KEY}`;
const fetchFn = (url, init) => fetch(url, { ...init, headers: { ...init?.headers, authorization } });

const results = [];
for (const audit of serverAudits({ url: process.env.DOITONG_URL, fetchFn })) {
  results.push(await audit.fn());
}
const others = results.filter((result) => result.status !== 'ok');
for (const { id, name, status, reason } of others) {
  console.log(`${status} ${id} ${name}: ${reason}`);
}
console.log(`${results.length - others.length} of ${results.length} audits pass`);
