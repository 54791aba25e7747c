// What a screen reader is told without a move of the focus.
import { signal } from '@preact/signals';

export const announcement = signal('');

export function announce(text) {
  announcement.value = text;
}
