// GraphiQL with a field for the API key, which is kept in this tab only. Subscriptions come as event streams.
import { GraphiQL } from 'graphiql';
import 'graphiql/graphiql.css';
import { getOperationAST, parse } from 'graphql';
import { createElement, useMemo, useState } from 'react';
import { createRoot } from 'react-dom/client';

const KEPT = 'doitong.key';
const DEFAULT_QUERY = `# Enter your API key above, then run this with Ctrl-Enter.
{
  providers(type: IMAGE, available: true) {
    id
    name
    pricing { creditCost estimatedTime }
  }
}
`;

function fetcherOf(key) {
  return async (parameters, { headers = {} } = {}) => {
    const stopped = new AbortController();
    const response = await fetch(location.pathname, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': 'application/json',
        accept: isSubscription(parameters) ? 'text/event-stream' : 'application/json',
        ...Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
      },
      body: JSON.stringify(parameters),
      signal: stopped.signal,
    });
    const streams = response.headers.get('content-type')?.startsWith('text/event-stream');
    return streams ? results(response, stopped) : response.json();
  };
}

/** Read from the text: what the editor knows of it is behind by a moment. */
function isSubscription({ query, operationName }) {
  try {
    return getOperationAST(parse(query), operationName)?.operation === 'subscription';
  } catch {
    return false;
  }
}

/** The results of an event stream, until it completes or the reader returns. */
function results(response, stopped) {
  const read = next(response.body.pipeThrough(new TextDecoderStream()));
  return {
    [Symbol.asyncIterator]: () => ({
      next: () => read.next(),
      return: async () => {
        stopped.abort();
        return { done: true, value: undefined };
      },
    }),
  };
}

async function* next(text) {
  let rest = '';
  for await (const chunk of text) {
    const events = (rest + chunk).split('\n\n');
    rest = events.pop();
    for (const event of events) {
      const data = event.match(/^event: next\ndata: (.*)$/m)?.[1];
      if (data) yield JSON.parse(data);
    }
  }
}

function Page() {
  const [key, setKey] = useState(sessionStorage.getItem(KEPT) ?? '');
  const fetcher = useMemo(() => fetcherOf(key), [key]);
  const keep = (input) => {
    const given = input.value.trim();
    sessionStorage.setItem(KEPT, given);
    setKey(given);
  };
  const field = createElement('input', {
    id: 'key',
    type: 'password',
    autoComplete: 'off',
    placeholder: 'dt_test_…',
    defaultValue: key,
    onBlur: (event) => keep(event.target),
  });
  const submit = (event) => {
    event.preventDefault();
    keep(event.target.elements.key);
  };
  const label = createElement('label', { htmlFor: 'key' }, 'API key');
  const back = createElement('a', { href: './' }, 'Console');
  const form = createElement('form', { onSubmit: submit }, label, field, back);
  // Without a key the schema is not asked for.
  const editor = createElement(GraphiQL, { fetcher, schema: key ? undefined : null, defaultQuery: DEFAULT_QUERY });
  return createElement('main', null, form, editor);
}

createRoot(document.getElementById('graphiql')).render(createElement(Page));
