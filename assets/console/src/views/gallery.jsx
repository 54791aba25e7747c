// What was made, newest first: by type, state and provider, a page at a time.
import { effect, signal } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';
import { providerName, providerNames, TYPES } from '../catalogue.js';
import { isCharged, moment } from '../format.js';
import { generation, list } from '../generations.js';
import { number, t } from '../i18n.js';
import { key } from '../key.js';
import { Choice } from '../parts/choice.jsx';
import { Icon } from '../parts/icons.jsx';
import { Progress, Status } from '../parts/status.jsx';
import { Thumb } from '../parts/thumb.jsx';
import { errorName, Trouble } from '../parts/trouble.jsx';
import { describe } from '../viewer/result.jsx';
import { hasEnded } from '../watch.js';

const PAGE = 24;
const STATUSES = ['PENDING', 'PROCESSING', 'COMPLETED', 'FAILED', 'CANCELLED'];
const ALL = { type: null, status: null, provider: null };

/** What is looked at: the filter, and the cursors that lead to the page. Whoever comes back finds the same page. */
const place = signal({ filter: ALL, cursors: [] });

effect(() => {
  if (!key.value) place.value = { filter: ALL, cursors: [] };
});

export function Gallery() {
  const { filter, cursors } = place.value;
  const [{ page, refusal }, setState] = useState({ page: null, refusal: null });
  const after = cursors.at(-1) ?? null;
  const read = () => {
    let isStale = false;
    list({ first: PAGE, after, ...filter }).then(
      (next) => isStale || setState({ page: next, refusal: null }),
      (error) => isStale || setState({ page: null, refusal: error }),
    );
    return () => {
      isStale = true;
    };
  };
  useEffect(read, [filter, after, key.value]);
  const narrow = (part) => {
    place.value = { filter: { ...filter, ...part }, cursors: [] };
  };
  const turnTo = (next) => {
    place.value = { filter, cursors: next };
  };
  return (
    <div class="gallery">
      <h1>{t('gallery')}</h1>
      <Filters filter={filter} narrow={narrow} />
      {refusal && <Trouble error={refusal} onRetry={read} />}
      {!page && !refusal && <p class="hint busy">{t('loading')}</p>}
      {page?.ids.length === 0 && <Nothing isNarrow={Object.values(filter).some(Boolean)} />}
      {page && (
        <ul class="prints" aria-label={t('gallery')}>
          {page.ids.map((id) => (
            <li key={id}>
              <Print generation={generation(id)} />
            </li>
          ))}
        </ul>
      )}
      {page && <Pages page={page} cursors={cursors} turnTo={turnTo} />}
    </div>
  );
}

function Filters({ filter, narrow }) {
  const types = [[null, t('all')], ...TYPES.map((type) => [type, t(`type.${type}`)])];
  return (
    <search class="filters">
      <Choice
        legend={t('type')}
        hiddenLegend
        choices={types}
        value={filter.type}
        onChange={(type) => narrow({ type })}
      />
      <label>
        <span>{t('status')}</span>
        <select value={filter.status ?? ''} onChange={(event) => narrow({ status: event.target.value || null })}>
          <option value="">{t('all')}</option>
          {STATUSES.map((status) => (
            <option key={status} value={status}>
              {t(`status.${status}`)}
            </option>
          ))}
        </select>
      </label>
      <label>
        <span>{t('provider')}</span>
        <select value={filter.provider ?? ''} onChange={(event) => narrow({ provider: event.target.value || null })}>
          <option value="">{t('all')}</option>
          {Object.entries(providerNames.value).map(([id, name]) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </select>
      </label>
    </search>
  );
}

function Nothing({ isNarrow }) {
  return (
    <div class="nothing">
      <p>{isNarrow ? t('gallery.none.such') : t('gallery.none')}</p>
      {!isNarrow && (
        <a class="button primary" href="#/create">
          {t('create.title')}
        </a>
      )}
    </div>
  );
}

function Print({ generation: one }) {
  return (
    <a class={`print ${one.type.toLowerCase()}`} href={`#/generation/${one.id}`}>
      <Thumb generation={one} />
      <span class="words">
        <strong>{describe(one)}</strong>
        <span class="outcome">
          <Status status={one.status} />
          {one.error && <small>{errorName(one.error)}</small>}
        </span>
        <small>
          {providerName(one.provider)} · {priceOf(one)}
        </small>
        <small>{moment(one.createdAt)}</small>
        {!hasEnded(one) && <Progress generation={one} />}
      </span>
    </a>
  );
}

const priceOf = (one) => (isCharged(one) ? `${number(one.creditCost)} ${t('credits.short')}` : t('not.charged'));

function Pages({ page, cursors, turnTo }) {
  if (cursors.length === 0 && !page.hasNextPage) return null;
  return (
    <nav class="pages" aria-label={t('pages')}>
      <button
        type="button"
        class="quiet"
        disabled={cursors.length === 0}
        onClick={() => turnTo(cursors.slice(0, -1))}
      >
        <Icon name="back" size={16} /> {t('newer')}
      </button>
      <span aria-live="polite">{t('page.n', { n: cursors.length + 1 })}</span>
      <button
        type="button"
        class="quiet"
        disabled={!page.hasNextPage}
        onClick={() => turnTo([...cursors, page.endCursor])}
      >
        {t('older')} <Icon name="next" size={16} />
      </button>
    </nav>
  );
}
