// Where a generation's webhook is, and a button that sends it again.
import { useState } from 'preact/hooks';
import { announce } from '../announce.js';
import { graphql } from '../api.js';
import { REDELIVER } from '../documents.js';
import { moment } from '../format.js';
import { load } from '../generations.js';
import { number, t } from '../i18n.js';
import { hasEnded } from '../watch.js';
import { Lines } from './lines.jsx';
import { Trouble } from './trouble.jsx';

export const deliveryState = ({ webhook, ...generation }) => {
  if (webhook.delivered) return 'delivered';
  if (webhook.nextAttemptAt) return webhook.attempts > 0 ? 'retrying' : 'waiting';
  return hasEnded(generation) ? 'given.up' : 'later';
};

/** The receiver's last status; the word for none where it was tried and did not answer. */
export const lastAnswer = ({ attempts, lastStatus }) => lastStatus ?? (attempts > 0 ? t('no.response') : '—');

/** Looks that are taken, a second apart, at whether a delivery that was asked for has been made. */
const LOOKS = 5;

export function Redeliver({ generation }) {
  const [{ isDue, refusal }, setState] = useState({ isDue: false, refusal: null });
  const send = async () => {
    setState({ isDue: true, refusal: null });
    const before = generation.webhook.attempts;
    try {
      await graphql(REDELIVER, { id: generation.id });
      announce(t('redelivering'));
      for (let look = 0; look < LOOKS; look += 1) {
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        const { webhook } = await load(generation.id);
        if (webhook.attempts > before) break;
      }
      setState({ isDue: false, refusal: null });
    } catch (error) {
      setState({ isDue: false, refusal: error });
    }
  };
  if (!hasEnded(generation)) return null;
  return (
    <>
      <button type="button" class="quiet" aria-disabled={isDue} onClick={isDue ? undefined : send}>
        {isDue ? t('redelivering') : t('redeliver')}
      </button>
      {refusal && <Trouble error={refusal} compact />}
    </>
  );
}

export function Delivery({ generation }) {
  const { url, attempts, nextAttemptAt } = generation.webhook;
  const state = deliveryState(generation);
  const lines = [
    [t('address'), <code>{url}</code>],
    [t('tries'), number(attempts)],
    [t('last.answer'), attempts > 0 ? lastAnswer(generation.webhook) : null],
    [t('next.try'), nextAttemptAt && moment(nextAttemptAt)],
  ];
  return (
    <section class="webhook">
      <h3>
        {t('webhook')} <span class={`status ${state.replace('.', '-')}`}>{t(`delivery.${state}`)}</span>
      </h3>
      <Lines facts={lines} />
      <Redeliver generation={generation} />
    </section>
  );
}
