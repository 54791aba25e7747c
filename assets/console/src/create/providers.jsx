// Who makes it: a card for the gateway's own choice and one for each provider, with the models of the one chosen.
import { loadProviders, providersOf } from '../catalogue.js';
import { day, duration } from '../format.js';
import { number, t } from '../i18n.js';
import { Choice } from '../parts/choice.jsx';
import { Icon } from '../parts/icons.jsx';
import { Phrase, Phrases } from '../parts/phrase.jsx';
import { Trouble } from '../parts/trouble.jsx';
import { change, chooseProvider, draft } from './draft.js';

const PRIORITIES = ['BALANCED', 'QUALITY', 'SPEED', 'COST'];

export function Providers() {
  const { type, provider } = draft.value;
  const known = providersOf(type);
  if (known?.refusal) return <Trouble error={known.refusal} onRetry={() => loadProviders(type)} />;
  if (!known) return <p class="hint busy">{t('loading')}</p>;
  const chosen = known.providers.find(({ id }) => id === provider);
  return (
    <section class="step" aria-labelledby="providers-title">
      <div class="step-head">
        <h2 id="providers-title">{t('provider')}</h2>
        {!chosen && <Priority />}
      </div>
      <fieldset class="provider-cards">
        <legend class="unseen">{t('provider')}</legend>
        <AutoCard />
        {known.providers.map((one) => (
          <ProviderCard key={one.id} provider={one} />
        ))}
      </fieldset>
      {chosen && <Chosen provider={chosen} />}
    </section>
  );
}

function AutoCard() {
  return (
    <label class="provider-card auto">
      <input
        type="radio"
        name="provider"
        checked={draft.value.provider === null}
        onChange={() => chooseProvider(null)}
      />
      <span class="face">
        <strong>
          <Icon name="auto" size={16} /> {t('auto')}
        </strong>
        <small>{t('auto.about')}</small>
      </span>
    </label>
  );
}

function ProviderCard({ provider }) {
  const { id, name, models, features, available, pricing, options } = provider;
  // The provider's own list is of all its types.
  const [main] = models;
  const known = main?.features.length > 0 ? main.features : features;
  return (
    <label class={available ? 'provider-card' : 'provider-card unavailable'}>
      <input
        type="radio"
        name="provider"
        checked={draft.value.provider === id}
        onChange={() => chooseProvider(id, { options })}
      />
      <span class="face">
        <strong>{name}</strong>
        {available ? (
          <small>
            <Phrases of={known.slice(0, 2)} />
          </small>
        ) : (
          <small>
            <Icon name="warn" size={14} /> {whyNot(provider)}
          </small>
        )}
        <Price pricing={pricing} />
      </span>
    </label>
  );
}

const whyNot = ({ waitsFor }) => (waitsFor ? t('waits.for', { what: waitsFor }) : t('unavailable'));

/** What an ordinary request costs and how long it takes. */
function Price({ pricing: { creditCost, estimatedTime } }) {
  if (creditCost === null) return null;
  return (
    <span class="price">
      <b>{number(creditCost)}</b> {t('credits.short')}
      <span class="time">
        <Icon name="time" size={14} /> {duration(estimatedTime)}
      </span>
    </span>
  );
}

function Priority() {
  const choices = PRIORITIES.map((one) => [one, t(`priority.${one}`)]);
  return (
    <Choice
      legend={t('priority')}
      choices={choices}
      value={draft.value.priority}
      onChange={(priority) => change({ priority })}
    />
  );
}

function Chosen({ provider }) {
  const { name, description, features, limitations, models, available } = provider;
  return (
    <div class="chosen">
      {!available && <p class="notice">{whyNot(provider)}</p>}
      <div class="about">
        <p lang="en">{description}</p>
        <ul class="tags" aria-label={t('features')}>
          {features.map((feature) => (
            <li key={feature}>
              <Phrase of={feature} />
            </li>
          ))}
        </ul>
        {limitations.length > 0 && (
          <p class="limitations">
            <b>{t('limitations')}</b> <span lang="en">{limitations.join('; ')}</span>
          </p>
        )}
      </div>
      <fieldset class="models">
        <legend>{t('models.of', { provider: name })}</legend>
        {models.map((model, n) => (
          <ModelRow key={model.id} model={model} isDefault={n === 0} />
        ))}
      </fieldset>
    </div>
  );
}

function ModelRow({ model, isDefault }) {
  const chosen = draft.value.model ?? (isDefault ? model.id : null);
  return (
    <label class={model.available ? 'model' : 'model unavailable'}>
      <input
        type="radio"
        name="model"
        checked={chosen === model.id}
        onChange={() => change({ model: isDefault ? null : model.id })}
      />
      <span class="face">
        <span class="name">
          <b>{model.name}</b>
          {isDefault && <span class="badge">{t('default')}</span>}
          <Life model={model} />
          <small>
            <Phrases of={model.features} />
          </small>
        </span>
        <Quality value={model.quality} />
        <Price pricing={model.pricing} />
      </span>
    </label>
  );
}

/** Where a model is in its life, when that needs saying, or what it waits for. */
function Life({ model }) {
  const { status, endsAt, replacedBy, available } = model;
  if (status === 'RETIRED') {
    const text = replacedBy ? t('retired.replaced', { by: replacedBy }) : t('retired');
    return <span class="badge over">{text}</span>;
  }
  if (status === 'ENDING') return <span class="badge">{t('ending', { day: day(endsAt) })}</span>;
  if (!available) return <span class="badge">{whyNot(model)}</span>;
  return null;
}

function Quality({ value }) {
  return (
    <span class="quality">
      <span class="unseen">{t('quality.of', { n: value })}</span>
      <svg viewBox="0 0 50 6" width="50" height="6" aria-hidden="true">
        <rect width="50" height="6" rx="3" />
        <rect class="full" width={value / 2} height="6" rx="3" />
      </svg>
    </span>
  );
}
