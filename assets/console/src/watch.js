// Follows a generation to its end: by subscription over a websocket, and by asking again where there is none.
import { createClient } from 'graphql-ws';
import { address, graphql } from './api.js';
import { ONE, WATCH } from './documents.js';
import { forgetKey, key } from './key.js';

const POLL_MS = 2_000;
const FORBIDDEN = 4403;
const ENDS = ['COMPLETED', 'FAILED', 'CANCELLED'];

export const hasEnded = ({ status }) => ENDS.includes(status);

let shared = null;

/** One connection for all that is watched with a key; it is closed when nothing is. */
function client() {
  if (shared?.key !== key.value) {
    shared?.client.dispose();
    shared = { key: key.value, client: connection(key.value) };
  }
  return shared.client;
}

function connection(usedKey) {
  const url = address('graphql/ws');
  url.protocol = url.protocol.replace('http', 'ws');
  return createClient({
    url: url.href,
    connectionParams: { authorization: `Bearer ${usedKey}` },
    retryAttempts: 2,
    shouldRetry: () => true,
    on: {
      closed: ({ code }) => code === FORBIDDEN && key.value === usedKey && forgetKey({ refused: true }),
    },
  });
}

/** Calls `update` with every state until the last one. Gives a function that stops it. */
export function watch(id, update) {
  let isOver = false;
  let stop = () => {};
  const take = (generation) => {
    isOver ||= hasEnded(generation);
    update(generation);
  };
  const poll = () => {
    if (!isOver) stop = polling(id, take);
  };
  stop = client().subscribe(
    { query: WATCH, variables: { id } },
    { next: ({ data }) => data && take(data.generationUpdated), error: poll, complete: poll },
  );
  return () => {
    isOver = true;
    stop();
  };
}

function polling(id, take) {
  const usedKey = key.value;
  let timer = null;
  const look = async () => {
    try {
      const { generation } = await graphql(ONE, { id });
      if (timer === null) return;
      take(generation);
      if (hasEnded(generation)) return;
    } catch (refusal) {
      if (!refusal.retryable && refusal.code !== 'RATE_LIMIT') return;
    }
    if (timer !== null && key.value === usedKey) timer = setTimeout(look, POLL_MS);
  };
  timer = setTimeout(look);
  return () => {
    clearTimeout(timer);
    timer = null;
  };
}
