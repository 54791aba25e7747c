// Limits and what is left of them, credits, and what was spent on what.
import { useEffect, useState } from 'preact/hooks';
import { account, refreshAccount } from '../account.js';
import { graphql } from '../api.js';
import { providerName, TYPES } from '../catalogue.js';
import { SPENT } from '../documents.js';
import { dollars, duration } from '../format.js';
import { locale, number, plural, t } from '../i18n.js';
import { key } from '../key.js';
import { Bars, Columns, Ring } from '../parts/charts.jsx';
import { Trouble } from '../parts/trouble.jsx';

const DAYS = 14;
/** Pages of a hundred generations that are counted at most. */
const MOST_PAGES = 5;

export function Usage() {
  useEffect(() => {
    refreshAccount();
  }, [key.value]);
  if (!account.value) return <p class="hint busy">{t('loading')}</p>;
  return (
    <div class="usage">
      <h1>{t('usage')}</h1>
      <Purse />
      <Limits />
      <Spending />
    </div>
  );
}

function Purse() {
  const { credits, plan, name, mode } = account.value;
  const { balance, held, available } = credits;
  return (
    <section class="purse ticket" aria-labelledby="purse-title">
      <header>
        <h2 id="purse-title">{t('credits.title')}</h2>
        <span class="stamp">{t(`mode.${mode}`)}</span>
      </header>
      <div class="total">
        <span class="figure">{number(available)}</span>
        <span class="unit">{plural('credits.unit', available)}</span>
        <span class="dollars">{dollars(available)}</span>
      </div>
      <Bars
        label={t('credits.chart')}
        rows={[
          { name: t('available'), value: available, className: 'available' },
          { name: t('held'), value: held, className: 'held' },
        ]}
        top={Math.max(balance, 1)}
      />
      <div class="tear" />
      <dl class="lines">
        <div>
          <dt>{t('account')}</dt>
          <dd>{name}</dd>
        </div>
        <div>
          <dt>{t('plan')}</dt>
          <dd class="plan">{plan.name}</dd>
        </div>
      </dl>
    </section>
  );
}

function Limits() {
  const { plan, usage } = account.value;
  const rings = [
    ['limit.minute', plan.perMinute - usage.minuteRemaining, plan.perMinute],
    ['limit.day', usage.dailyUsed, plan.daily],
    ['limit.concurrent', usage.running, plan.concurrent],
    ['limit.queued', usage.queued, plan.queued],
  ];
  return (
    <section class="limits" aria-labelledby="limits-title">
      <h2 id="limits-title">{t('limits')}</h2>
      <div class="rings">
        {rings.map(([name, used, limit]) => (
          <Ring key={name} label={t(name)} used={used} limit={limit} />
        ))}
      </div>
      {usage.minuteReset > 0 && <p class="hint">{t('minute.reset', { time: duration(usage.minuteReset) })}</p>}
    </section>
  );
}

/** The latest generations that were paid, and whether there are more than were read. */
async function readSpent() {
  const spent = [];
  let after = null;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const { generations } = await graphql(SPENT, { after });
    spent.push(...generations.nodes.filter(({ status }) => status === 'COMPLETED'));
    after = generations.pageInfo.endCursor;
    if (!generations.pageInfo.hasNextPage) return spent;
  }
  return spent;
}

function Spending() {
  const [{ spent, refusal }, setState] = useState({ spent: null, refusal: null });
  useEffect(() => {
    readSpent().then(
      (read) => setState({ spent: read, refusal: null }),
      (error) => setState({ spent: null, refusal: error }),
    );
  }, [key.value]);
  if (refusal) return <Trouble error={refusal} />;
  if (!spent) return <p class="hint busy">{t('loading')}</p>;
  const providers = [...new Set(spent.map(({ provider }) => provider))];
  const byProvider = providers.map((provider) => ({
    name: providerName(provider),
    value: sum(spent.filter((one) => one.provider === provider)),
  }));
  byProvider.sort((a, b) => b.value - a.value);
  return (
    <>
      <section class="spent-days" aria-labelledby="days-title">
        <h2 id="days-title">{t('spent.days', { n: DAYS })}</h2>
        <Columns
          label={t('spent.days', { n: DAYS })}
          none={t('spent.none.days', { n: DAYS })}
          kinds={TYPES.map(kind)}
          columns={days(spent)}
        />
      </section>
      <section class="spent-providers" aria-labelledby="by-provider-title">
        <h2 id="by-provider-title">{t('spent.providers')}</h2>
        {byProvider.length === 0 && <p class="hint">{t('spent.none')}</p>}
        <Bars label={t('spent.providers')} rows={byProvider} top={byProvider[0]?.value ?? 1} />
      </section>
    </>
  );
}

const sum = (generations) => generations.reduce((all, { creditCost }) => all + creditCost, 0);
const kind = (type) => ({ name: t(`type.${type}`), className: type.toLowerCase() });

/** A column for each of the latest days, oldest first, with the credits of each type. */
function days(spent) {
  return Array.from({ length: DAYS }, (_, n) => {
    const date = new Date();
    date.setDate(date.getDate() - (DAYS - 1 - n));
    const ofDay = spent.filter(({ createdAt }) => new Date(createdAt).toDateString() === date.toDateString());
    return {
      name: date.toLocaleDateString(locale(), { day: 'numeric', month: 'short' }),
      values: TYPES.map((type) => sum(ofDay.filter((one) => one.type === type))),
    };
  });
}
