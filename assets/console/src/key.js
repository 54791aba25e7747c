// The API key: kept in this tab only, sent in headers, never part of an address.
import { signal } from '@preact/signals';

const KEPT = 'doitong.key';

export const key = signal(sessionStorage.getItem(KEPT) ?? '');

/** Whether the last key was refused while it was in use. */
export const keyWasRefused = signal(false);

export function keepKey(text) {
  sessionStorage.setItem(KEPT, text);
  keyWasRefused.value = false;
  key.value = text;
}

export function forgetKey({ refused = false } = {}) {
  sessionStorage.removeItem(KEPT);
  keyWasRefused.value = refused;
  key.value = '';
}
