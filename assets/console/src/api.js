// Calls to the gateway: GraphQL by POST, and uploads. Addresses are relative to the page, which may be under a prefix.
import { forgetKey, key } from './key.js';

/** An answer that is no result: an error of the API, or none at all (code NETWORK). */
export class Refusal extends Error {
  constructor({ message, extensions = {} }) {
    super(message);
    Object.assign(this, { reason: null, field: null, retryable: false, retryAfter: null }, extensions);
  }
}

export const address = (path) => new URL(path, document.baseURI);

/** The data of an operation; throws a Refusal. */
export async function graphql(query, variables = {}, { idempotencyKey, usedKey = key.value, signal } = {}) {
  const headers = { authorization: `Bearer ${usedKey}`, 'content-type': 'application/json' };
  if (idempotencyKey) headers['idempotency-key'] = idempotencyKey;
  const answer = await send('graphql', { headers, body: JSON.stringify({ query, variables }), signal }, usedKey);
  if (answer.errors) throw new Refusal(answer.errors[0]);
  return answer.data;
}

/** Stores a file as an input; its address. */
export async function upload(file) {
  const headers = { authorization: `Bearer ${key.value}`, 'content-type': file.type || 'application/octet-stream' };
  const answer = await send('uploads', { headers, body: file }, key.value);
  if (answer.errors) throw new Refusal(answer.errors[0]);
  return answer.url;
}

async function send(path, request, usedKey) {
  let response;
  try {
    response = await fetch(address(path), { method: 'POST', ...request });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Refusal({ message: String(error.message), extensions: { code: 'NETWORK', retryable: true } });
  }
  if (response.status === 401 && usedKey === key.value) forgetKey({ refused: true });
  try {
    return await response.json();
  } catch {
    throw new Refusal({ message: `HTTP ${response.status}`, extensions: { code: 'NETWORK', retryable: true } });
  }
}
