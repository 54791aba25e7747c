// Webhook deliveries of the latest generations, and the secrets that they are signed with.
import { useEffect, useState } from 'preact/hooks';
import { announce } from '../announce.js';
import { graphql } from '../api.js';
import { ROTATE, SECRETS } from '../documents.js';
import { moment } from '../format.js';
import { generation, list } from '../generations.js';
import { number, t } from '../i18n.js';
import { key } from '../key.js';
import { Copy } from '../parts/copy.jsx';
import { deliveryState, lastAnswer, Redeliver } from '../parts/delivery.jsx';
import { Dialog } from '../parts/dialog.jsx';
import { Trouble } from '../parts/trouble.jsx';

const LOOKED_AT = 100;

export function Webhooks() {
  return (
    <div class="webhooks">
      <h1>{t('webhooks')}</h1>
      <Deliveries />
      <Secrets />
    </div>
  );
}

function Deliveries() {
  const [{ ids, cursor, refusal }, setState] = useState({ ids: null, cursor: null, refusal: null });
  const read = async (after = null, before = []) => {
    try {
      const page = await list({ first: LOOKED_AT, after });
      const found = page.ids.filter((id) => generation(id).webhook);
      setState({ ids: [...before, ...found], cursor: page.hasNextPage ? page.endCursor : null, refusal: null });
    } catch (error) {
      setState({ ids: null, cursor: null, refusal: error });
    }
  };
  useEffect(() => {
    read();
  }, [key.value]);
  return (
    <section aria-labelledby="deliveries-title">
      <h2 id="deliveries-title">{t('deliveries')}</h2>
      {refusal && <Trouble error={refusal} onRetry={() => read()} />}
      {!ids && !refusal && <p class="hint busy">{t('loading')}</p>}
      {ids?.length === 0 && <Nothing />}
      {ids?.length > 0 && <Table ids={ids} />}
      {cursor && (
        <button type="button" class="quiet" onClick={() => read(cursor, ids)}>
          {t('look.further')}
        </button>
      )}
    </section>
  );
}

function Nothing() {
  return (
    <div class="nothing">
      <p>{t('deliveries.none')}</p>
      <p class="hint">{t('deliveries.how')}</p>
      <a class="button quiet" href="#/create">
        {t('create.title')}
      </a>
    </div>
  );
}

function Table({ ids }) {
  return (
    <table class="deliveries">
      <thead>
        <tr>
          {['generation', 'address', 'status', 'tries', 'last.answer', 'next.try'].map((name) => (
            <th key={name} scope="col">
              {t(name)}
            </th>
          ))}
          <th scope="col">
            <span class="unseen">{t('redeliver')}</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {ids.map((id) => (
          <Row key={id} generation={generation(id)} />
        ))}
      </tbody>
    </table>
  );
}

function Row({ generation: one }) {
  const { url, attempts, nextAttemptAt } = one.webhook;
  const state = deliveryState(one);
  return (
    <tr>
      <th scope="row" data-name={t('generation')}>
        <a href={`#/generation/${one.id}`}>
          {t(`type.${one.type}`)} · {moment(one.createdAt)}
        </a>
      </th>
      <td data-name={t('address')} class="address">
        {url}
      </td>
      <td data-name={t('status')}>
        <span class={`status ${state.replace('.', '-')}`}>{t(`delivery.${state}`)}</span>
      </td>
      <td data-name={t('tries')}>{number(attempts)}</td>
      <td data-name={t('last.answer')}>{lastAnswer(one.webhook)}</td>
      <td data-name={t('next.try')}>{nextAttemptAt ? moment(nextAttemptAt) : '—'}</td>
      <td>
        <Redeliver generation={one} />
      </td>
    </tr>
  );
}

function Secrets() {
  const [{ secrets, refusal }, setState] = useState({ secrets: null, refusal: null });
  const [isAsking, setAsking] = useState(false);
  const read = () =>
    graphql(SECRETS).then(
      ({ account }) => setState({ secrets: account.webhookSecrets, refusal: null }),
      (error) => setState({ secrets: null, refusal: error }),
    );
  const rotate = async () => {
    try {
      await graphql(ROTATE);
      await read();
      announce(t('rotated'));
    } catch (error) {
      setState({ secrets, refusal: error });
    }
    setAsking(false);
  };
  useEffect(() => {
    read();
  }, [key.value]);
  return (
    <section class="secrets" aria-labelledby="secrets-title">
      <h2 id="secrets-title">{t('secrets')}</h2>
      <p class="hint">{t('secrets.about')}</p>
      {refusal && <Trouble error={refusal} />}
      <ul>
        {secrets?.map((secret) => (
          <Secret key={secret.secret} secret={secret} />
        ))}
      </ul>
      <button type="button" class="quiet" onClick={() => setAsking(true)}>
        {t('rotate')}
      </button>
      {isAsking && (
        <Dialog title={t('rotate.title')} onClose={() => setAsking(false)}>
          <p>{t('rotate.about')}</p>
          <button type="button" class="primary" onClick={rotate}>
            {t('rotate')}
          </button>
        </Dialog>
      )}
    </section>
  );
}

function Secret({ secret: { secret, createdAt, expiresAt } }) {
  const [isShown, setShown] = useState(false);
  return (
    <li>
      <code>{isShown ? secret : `${secret.slice(0, 10)}${'•'.repeat(16)}`}</code>
      <button type="button" class="quiet" aria-pressed={isShown} onClick={() => setShown(!isShown)}>
        {isShown ? t('hide') : t('show')}
      </button>
      <Copy text={secret} label={t('copy.secret')} />
      <small>
        {expiresAt ? t('secret.until', { time: moment(expiresAt) }) : t('secret.since', { time: moment(createdAt) })}
      </small>
    </li>
  );
}
