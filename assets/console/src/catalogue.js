// Providers with their models and options, read once a type.
import { effect, signal } from '@preact/signals';
import { graphql } from './api.js';
import { PROVIDER_NAMES, PROVIDERS } from './documents.js';
import { key } from './key.js';

export const TYPES = ['VIDEO', 'IMAGE', 'AUDIO', 'AVATAR'];

const known = signal({});

/** Every provider by its id, with the name to show. */
export const providerNames = signal({});

effect(() => {
  if (key.value) return;
  known.value = {};
  providerNames.value = {};
});

export const providerName = (id) => providerNames.value[id] ?? id;

export async function loadProviderNames() {
  const { providers } = await graphql(PROVIDER_NAMES);
  providerNames.value = Object.fromEntries(providers.map(({ id, name }) => [id, name]));
}

/** The providers of a type: `{ providers }`, `{ refusal }`, or null while they are read. */
export const providersOf = (type) => known.value[type] ?? null;

export async function loadProviders(type) {
  if (known.value[type]?.providers) return;
  try {
    const { providers } = await graphql(PROVIDERS, { type });
    known.value = { ...known.value, [type]: { providers } };
  } catch (refusal) {
    known.value = { ...known.value, [type]: { refusal } };
  }
}

/** The options that every provider of a list takes, for a request that leaves the choice to the gateway. */
export function commonOptions(providers) {
  const [first, ...others] = providers;
  const shared = first?.options.filter(({ name }) =>
    others.every(({ options }) => options.some((o) => o.name === name)),
  );
  return (shared ?? []).map((option) => ({
    ...option,
    description: option.description.split('. ')[0],
    allowedValues: valuesOf(option, providers),
    default: null,
    minimum: null,
    maximum: null,
  }));
}

const MOST_CHOICES = 24;

/** The words that any provider lists, unless they are too many to choose from; a number may be any. */
function valuesOf({ name, type }, providers) {
  const lists = providers.map(({ options }) => options.find((option) => option.name === name).allowedValues ?? []);
  const values = [...new Set(lists.flat())];
  return type === 'string' && values.length > 0 && values.length <= MOST_CHOICES ? values : null;
}

/**
 * Whether an option changes anything, for a model or for any. The portable options are accepted everywhere; where one
 * is ignored, the catalogue says so at the end of its description.
 */
export function hasEffect({ description }, model) {
  if (/without effect here\.$/.test(description)) return false;
  const without = description.match(/Without effect on (.+)\.$/)?.[1];
  return !without || !model || !without.split(', ').includes(model);
}

/** An option's description without the list of models it does not concern. */
export const descriptionOf = ({ description }) =>
  description.replace(/\s*(Without effect on .+|Said in words in the prompt.*)\.$/, '');
