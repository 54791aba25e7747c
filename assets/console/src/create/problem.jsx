// What the gateway says about a single field, shown beside it.
import { signal } from '@preact/signals';
import { quote } from './quote.js';

/** The refusal of the last run, until the form changes. */
export const runRefusal = signal(null);

export function problemOf(field) {
  const refusal = runRefusal.value ?? quote.value.refusal;
  return refusal?.field === field ? refusal.message : null;
}

export const FieldError = ({ id, problem }) => (
  <p id={id} class="field-error" lang="en" hidden={!problem}>
    {problem}
  </p>
);
