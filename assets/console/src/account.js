// The account of the key: limits, what is left of them, credits.
import { effect, signal } from '@preact/signals';
import { graphql } from './api.js';
import { ACCOUNT } from './documents.js';
import { keepKey, key } from './key.js';

export const account = signal(null);

effect(() => {
  if (!key.value) account.value = null;
});

/** Takes a key into use if the gateway knows it; throws a Refusal otherwise. */
export async function connect(text) {
  const answer = await graphql(ACCOUNT, {}, { usedKey: text });
  account.value = answer.account;
  keepKey(text);
}

/** Reads the account anew. A failure leaves what is known: the next call of the page will tell. */
export async function refreshAccount() {
  const usedKey = key.value;
  if (!usedKey) return;
  try {
    const answer = await graphql(ACCOUNT);
    if (key.value === usedKey) account.value = answer.account;
  } catch {
    // Told where it matters.
  }
}
