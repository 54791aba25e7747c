// What the request would cost: asked for while the form is filled, a moment after the last change.
import { effect, signal } from '@preact/signals';
import { graphql } from '../api.js';
import { QUOTE } from '../documents.js';
import { key } from '../key.js';
import { input, isEmpty } from './draft.js';

const PAUSE_MS = 350;

/** `{ value }` or `{ refusal }`, and whether it is of an earlier state of the form. */
export const quote = signal({ value: null, refusal: null, isOld: false });

effect(() => {
  const asked = input.value;
  if (!key.value || isEmpty.value) {
    quote.value = { value: null, refusal: null, isOld: false };
    return undefined;
  }
  const stopped = new AbortController();
  quote.value = { ...quote.peek(), isOld: true };
  const timer = setTimeout(() => ask(asked, stopped.signal), PAUSE_MS);
  return () => {
    clearTimeout(timer);
    stopped.abort();
  };
});

async function ask(asked, signal) {
  try {
    const answer = await graphql(QUOTE, { input: asked }, { signal });
    quote.value = { value: answer.quote, refusal: null, isOld: false };
  } catch (refusal) {
    if (!signal.aborted) quote.value = { value: null, refusal, isOld: false };
  }
}
