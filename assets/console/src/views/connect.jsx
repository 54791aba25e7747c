// Before anything else: the key.
import { useId, useState } from 'preact/hooks';
import { connect } from '../account.js';
import { t } from '../i18n.js';
import { keyWasRefused } from '../key.js';
import { Icon, Mark } from '../parts/icons.jsx';
import { Trouble } from '../parts/trouble.jsx';
import { TYPES } from '../catalogue.js';

export function Connect() {
  const id = useId();
  const [{ isBusy, refusal }, setState] = useState({ isBusy: false, refusal: null });
  const submit = async (event) => {
    event.preventDefault();
    const given = event.target.elements.key.value.trim();
    if (!given || isBusy) return;
    setState({ isBusy: true, refusal: null });
    try {
      await connect(given);
    } catch (error) {
      setState({ isBusy: false, refusal: error });
    }
  };
  return (
    <div class="connect">
      <section class="pitch">
        <Mark />
        <h1>{t('connect.title')}</h1>
        <p>{t('connect.about')}</p>
        <ul>
          {TYPES.map((type) => (
            <li key={type} class={type.toLowerCase()}>
              <Icon name={type} /> {t(`type.${type}`)}
            </li>
          ))}
        </ul>
      </section>
      <form class="ticket" onSubmit={submit}>
        <h2>{t('connect.key')}</h2>
        <label for={id}>{t('key')}</label>
        <input
          id={id}
          name="key"
          type="password"
          autoComplete="off"
          spellcheck={false}
          placeholder="dt_test_…"
          aria-describedby={`${id}-about`}
          required
        />
        <p id={`${id}-about`} class="hint">
          {t('key.about')}
        </p>
        {keyWasRefused.value && !refusal && (
          <p class="notice" role="alert">
            {t('key.refused')}
          </p>
        )}
        {refusal && <Trouble error={refusal} />}
        <div class="tear" />
        <button type="submit" class="primary" aria-disabled={isBusy}>
          {isBusy ? t('connecting') : t('connect')}
        </button>
        <details>
          <summary>{t('key.none')}</summary>
          <p class="hint">{t('key.make')}</p>
          <code class="command">doitong keys create --account demo</code>
        </details>
      </form>
    </div>
  );
}
