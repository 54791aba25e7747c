// The quote as a ticket: what would make it, at what price and in what time, what else could, and the button to run it.
import { effect, signal } from '@preact/signals';
import { useState } from 'preact/hooks';
import { account } from '../account.js';
import { announce } from '../announce.js';
import { providerName } from '../catalogue.js';
import { dollars, duration } from '../format.js';
import { generate } from '../generations.js';
import { number, plural, t } from '../i18n.js';
import { Adjustments } from '../parts/adjustments.jsx';
import { Icon } from '../parts/icons.jsx';
import { reveal } from '../parts/reveal.js';
import { errorName, Trouble } from '../parts/trouble.jsx';
import { CodeDialog } from './code.jsx';
import { change, input, isEmpty } from './draft.js';
import { runRefusal } from './problem.jsx';
import { quote } from './quote.js';

const SHOWN_ALTERNATIVES = 6;

/** One key for one request: a second try after a lost answer starts nothing twice. */
let idempotencyKey = newKey();

effect(() => {
  void input.value;
  idempotencyKey = newKey();
  runRefusal.value = null;
});

/** `crypto.randomUUID` is not there for pages that came over plain HTTP from another machine. */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `console-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

const isStarting = signal(false);

/** Whether ticket and runs are below the form, not beside it; as in `create.css`. */
const isNarrow = () => matchMedia('(max-width: 1080px)').matches;

export async function run() {
  if (isStarting.value || isEmpty.value) return;
  isStarting.value = true;
  runRefusal.value = null;
  try {
    await generate(input.value, idempotencyKey);
    idempotencyKey = newKey();
    announce(t('started'));
    reveal('.stub.newest', isNarrow() ? 'start' : 'nearest');
  } catch (refusal) {
    runRefusal.value = refusal;
    reveal('.ticket .trouble');
  }
  isStarting.value = false;
}

export function Ticket() {
  const [showsCode, setShowsCode] = useState(false);
  const { value, refusal, isOld } = quote.value;
  const trouble = runRefusal.value ?? refusal;
  return (
    <section class="ticket" aria-labelledby="ticket-title" aria-busy={isOld}>
      <header>
        <h2 id="ticket-title">{t('quote')}</h2>
        {account.value?.mode === 'test' && <span class="stamp">{t('mode.test')}</span>}
      </header>
      <div role="status">
        {isEmpty.value && <p class="hint">{t('quote.empty')}</p>}
        {value && <Lines quote={value} />}
      </div>
      {value && <Adjustments adjustments={value.adjustments} />}
      {trouble && <Trouble error={trouble} />}
      <div class="tear" />
      <Total quote={value} />
      <button type="submit" class="primary run" disabled={isEmpty.value}>
        {isStarting.value ? t('starting') : t('run')}
      </button>
      <button type="button" class="quiet" disabled={isEmpty.value} onClick={() => setShowsCode(true)}>
        <Icon name="code" size={16} /> {t('copy.as.code')}
      </button>
      {value && <Alternatives quote={value} />}
      {showsCode && <CodeDialog idempotencyKey={idempotencyKey} onClose={() => setShowsCode(false)} />}
    </section>
  );
}

function Lines({ quote: { provider, model, estimatedTime, quality } }) {
  const lines = [
    [t('provider'), providerName(provider)],
    [t('model'), model],
    [t('time'), t('about.time', { time: duration(estimatedTime) })],
    [t('quality'), `${quality} / 100`],
  ];
  return (
    <dl class="lines">
      {lines.map(([name, text]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{text}</dd>
        </div>
      ))}
    </dl>
  );
}

function Total({ quote: value }) {
  const available = account.value?.credits.available;
  return (
    <div class="total">
      <span class={value ? 'figure' : 'figure none'}>{value ? number(value.creditCost) : '–'}</span>
      {value && <span class="unit">{plural('credits.unit', value.creditCost)}</span>}
      {value && <span class="dollars">{dollars(value.creditCost)}</span>}
      {available !== undefined && (
        <span class={value && value.creditCost > available ? 'left short' : 'left'}>
          {t('credits.left', { n: number(available) })}
        </span>
      )}
    </div>
  );
}

/** They come best first; another provider tells more than another model of the same. */
const bestOfEach = (alternatives) =>
  alternatives.filter(({ provider }, n) => alternatives.findIndex((one) => one.provider === provider) === n);

function Alternatives({ quote: { alternatives } }) {
  const [showsAll, setShowsAll] = useState(false);
  if (alternatives.length === 0) return null;
  const shown = showsAll ? alternatives : bestOfEach(alternatives).slice(0, SHOWN_ALTERNATIVES);
  return (
    <details class="alternatives">
      <summary>{t('alternatives', { n: alternatives.length })}</summary>
      <ul>
        {shown.map(({ provider, model, creditCost, estimatedTime }) => (
          <li key={`${provider} ${model}`}>
            <button type="button" onClick={() => change({ provider, model })}>
              <span>
                <b>{providerName(provider)}</b> {model}
              </span>
              <span class="price">
                <b>{number(creditCost)}</b> {t('credits.short')} <span class="time">{duration(estimatedTime)}</span>
              </span>
            </button>
          </li>
        ))}
      </ul>
      {alternatives.length > shown.length && (
        <button type="button" class="link" onClick={() => setShowsAll(true)}>
          {t('show.all', { n: alternatives.length })}
        </button>
      )}
    </details>
  );
}

/** On a phone the price and the button stay in sight. */
export function RunBar() {
  const { value, refusal } = quote.value;
  const trouble = runRefusal.value ?? refusal;
  return (
    <div class="run-bar">
      {trouble && (
        <button type="button" class="link" onClick={() => reveal('.ticket .trouble', 'center')}>
          <Icon name="warn" size={16} /> {errorName(trouble)}
        </button>
      )}
      {!trouble && !value && <span>{t('quote.short')}</span>}
      {!trouble && value && (
        <span>
          <b>{number(value.creditCost)}</b> {t('credits.short')} · {duration(value.estimatedTime)}
        </span>
      )}
      <button type="submit" class="primary" disabled={isEmpty.value}>
        {isStarting.value ? t('starting') : t('run')}
      </button>
    </div>
  );
}
