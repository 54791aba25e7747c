// What goes with a request besides what it makes: where its end is told, what it may cost, labels.
import { useId } from 'preact/hooks';
import { t } from '../i18n.js';
import { change, draft, parsed } from './draft.js';
import { FieldError, problemOf } from './problem.jsx';

export function Delivery() {
  const { webhookUrl, maxCredits, labels, strict } = draft.value;
  const isWrong = labels.trim() !== '' && parsed(labels) === undefined;
  return (
    <details class="step delivery">
      <summary>{t('delivery')}</summary>
      <div class="options">
        <Field name="webhookUrl" type="url" value={webhookUrl} placeholder="https://" />
        <Field name="maxCredits" type="number" value={maxCredits} placeholder={t('no.limit')} />
        <Field
          name="labels"
          type="text"
          value={labels}
          placeholder='{"project": "demo"}'
          wrong={isWrong && t('not.json')}
        />
        <div class="option">
          <label class="check">
            <input type="checkbox" checked={strict} onChange={(event) => change({ strict: event.target.checked })} />
            <span>{t('strict')}</span>
          </label>
          <p class="hint">{t('strict.about')}</p>
        </div>
      </div>
    </details>
  );
}

function Field({ name, type, value, placeholder, wrong }) {
  const id = useId();
  const problem = wrong || problemOf(name);
  return (
    <div class="option">
      <label for={id}>{t(name)}</label>
      <input
        id={id}
        type={type}
        min={type === 'number' ? 0 : undefined}
        value={value}
        placeholder={placeholder}
        spellcheck={false}
        aria-invalid={problem ? true : undefined}
        aria-describedby={`${id}-about ${id}-problem`}
        onInput={(event) => change({ [name]: event.target.value })}
      />
      <p id={`${id}-about`} class="hint">
        {t(`${name}.about`)}
      </p>
      <FieldError id={`${id}-problem`} problem={problem} />
    </div>
  );
}
