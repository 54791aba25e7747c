// The generations that the page knows, each followed until it ends, and what was asked for in this tab.
import { effect, signal } from '@preact/signals';
import { refreshAccount } from './account.js';
import { announce } from './announce.js';
import { graphql } from './api.js';
import { CANCEL, GENERATE, LIST, ONE } from './documents.js';
import { t } from './i18n.js';
import { key } from './key.js';
import { hasEnded, watch } from './watch.js';

const KEPT = 'doitong.requests';
const MOST_KEPT = 100;

const known = signal({});
const watched = new Map();

/** Ids of what was started here, or was under way when the page was opened: newest first. */
export const recent = signal([]);

/** The requests of this tab by the id of their generation: the gateway does not tell a prompt again. */
const requests = signal(JSON.parse(sessionStorage.getItem(KEPT) ?? '{}'));

export const generation = (id) => known.value[id] ?? null;
export const requestOf = (id) => requests.value[id] ?? null;

/** Another key, another account. */
effect(() => {
  if (key.value) return;
  watched.forEach((stop) => stop());
  watched.clear();
  known.value = {};
  recent.value = [];
  requests.value = {};
  sessionStorage.removeItem(KEPT);
});

function learn(...generations) {
  known.value = { ...known.value, ...Object.fromEntries(generations.map((one) => [one.id, one])) };
}

function follow(id) {
  if (watched.has(id)) return;
  watched.set(id, () => {});
  const stop = watch(id, (now) => {
    const before = known.peek()[id];
    learn(now);
    if (before?.status !== now.status) announce(`${t(`type.${now.type}`)}: ${t(`status.${now.status}`)}`);
    if (hasEnded(now)) {
      watched.delete(id);
      refreshAccount();
    }
  });
  if (watched.has(id)) watched.set(id, stop);
}

function begin(generation) {
  learn(generation);
  recent.value = [generation.id, ...recent.value.filter((id) => id !== generation.id)];
  if (!hasEnded(generation)) follow(generation.id);
}

/** Starts a generation; throws a Refusal. */
export async function generate(input, idempotencyKey) {
  const { generate: started } = await graphql(GENERATE, { input }, { idempotencyKey });
  const kept = [[started.id, input], ...Object.entries(requests.value)].slice(0, MOST_KEPT);
  requests.value = Object.fromEntries(kept);
  sessionStorage.setItem(KEPT, JSON.stringify(requests.value));
  begin(started);
  refreshAccount();
  return started;
}

/** Cancels it; its end comes to whoever follows it. */
export async function cancel(id) {
  await graphql(CANCEL, { id });
  if (!watched.has(id)) await load(id);
}

/** Reads one generation, and follows it to its end. */
export async function load(id) {
  const answer = await graphql(ONE, { id });
  learn(answer.generation);
  if (!hasEnded(answer.generation)) follow(id);
  return answer.generation;
}

/** A page of the list. */
export async function list(filter) {
  const { generations } = await graphql(LIST, filter);
  learn(...generations.nodes);
  return { ids: generations.nodes.map(({ id }) => id), ...generations.pageInfo };
}

/** Takes up what is under way, so that a reload loses nothing. */
export async function resume() {
  for (const status of ['PENDING', 'PROCESSING']) {
    const { ids } = await list({ first: 20, status });
    ids.reverse().forEach((id) => begin(known.value[id]));
  }
}
