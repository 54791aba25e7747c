// How it is made: a control for each option that the catalogue lists, by its type, values and bounds.
import { useId, useState } from 'preact/hooks';
import { commonOptions, descriptionOf, hasEffect, providersOf } from '../catalogue.js';
import { shown } from '../format.js';
import { maybe, number, t } from '../i18n.js';
import { Choice } from '../parts/choice.jsx';
import { Phrase } from '../parts/phrase.jsx';
import { draft, parsed, setOption } from './draft.js';
import { FieldError, problemOf } from './problem.jsx';

/** So many options are shown at once; the others are one step away. */
const SHOWN = 6;
/** So many values, and letters of them, stand side by side; more are in a list. */
const SIDE_BY_SIDE = 6;
const SIDE_BY_SIDE_LETTERS = 44;
/** A wider range is not set by a slider. */
const WIDEST_SLIDER = 1000;

export function Options() {
  const { type, provider, model } = draft.value;
  const providers = providersOf(type)?.providers ?? [];
  const chosen = providers.find(({ id }) => id === provider);
  const used = model ?? chosen?.models[0]?.id;
  const all = chosen ? chosen.options : commonOptions(providers.filter(({ available }) => available));
  // One that is set stays in sight although another model makes nothing of it.
  const options = all.filter((option) => option.name in draft.value.options || hasEffect(option, used));
  if (options.length === 0) return null;
  const [first, rest] = [options.slice(0, SHOWN), options.slice(SHOWN)];
  const isSet = rest.some(({ name }) => name in draft.value.options);
  return (
    <section class="step" aria-labelledby="options-title">
      <h2 id="options-title">{t('options')}</h2>
      <div class="options">
        {first.map((option) => (
          <Option key={`${provider} ${option.name}`} option={option} />
        ))}
      </div>
      {rest.length > 0 && (
        <details open={isSet}>
          <summary>{t('more.options', { n: rest.length })}</summary>
          <div class="options">
            {rest.map((option) => (
              <Option key={`${provider} ${option.name}`} option={option} />
            ))}
          </div>
        </details>
      )}
    </section>
  );
}

/** `motionIntensity` as `Motion intensity`, where the language has no word of its own. */
export const nameOf = (name) =>
  maybe(
    `option.${name}`,
    name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`).replace(/^./, (letter) => letter.toUpperCase()),
  );

function Option({ option }) {
  const id = useId();
  const value = draft.value.options[option.name];
  const problem = problemOf(`options.${option.name}`);
  const Control = controlOf(option);
  const field = {
    id,
    'aria-describedby': `${id}-about ${id}-problem`,
    'aria-invalid': problem ? true : undefined,
    'aria-required': option.required || undefined,
  };
  return (
    <div class={Control.isWide ? 'option wide' : 'option'}>
      {!Control.hasLegend && (
        <label for={id}>
          {nameOf(option.name)} {option.required && <span class="required">{t('required')}</span>}
        </label>
      )}
      <Control option={option} field={field} value={value} set={(next) => setOption(option.name, next)} />
      <p id={`${id}-about`} class="hint">
        <Phrase of={descriptionOf(option)} />
      </p>
      <FieldError id={`${id}-problem`} problem={problem} />
    </div>
  );
}

function controlOf({ type, allowedValues, minimum, maximum }) {
  if (type === 'boolean') return Switch;
  if (allowedValues) {
    const letters = allowedValues.map(shown).join('').length;
    return allowedValues.length <= SIDE_BY_SIDE && letters <= SIDE_BY_SIDE_LETTERS ? Values : List;
  }
  if (type === 'integer' || type === 'number') {
    const isBounded = minimum !== null && maximum !== null && maximum - minimum <= WIDEST_SLIDER;
    return isBounded ? Slider : NumberField;
  }
  return type === 'json' ? Json : Text;
}

/** What is used when nothing is chosen. */
const unset = (option) => (option.default === null ? t('unset') : t('unset.default', { value: shown(option.default) }));

function Values({ option, field, value, set }) {
  const choices = [[undefined, t('unset')], ...option.allowedValues.map((one) => [one, shown(one)])];
  return <Alternatives option={option} choices={choices} field={field} value={value} set={set} />;
}
Values.hasLegend = true;

function Switch({ option, field, value, set }) {
  const choices = [
    [undefined, t('unset')],
    [true, t('on')],
    [false, t('off')],
  ];
  return <Alternatives option={option} choices={choices} field={field} value={value} set={set} />;
}
Switch.hasLegend = true;

function Alternatives({ option, choices, field, value, set }) {
  const used = choices.find(([one]) => one === option.default)?.[1] ?? shown(option.default);
  const note = option.required ? t('required') : option.default !== null && t('unset.default', { value: used });
  const legend = note ? `${nameOf(option.name)} (${note})` : nameOf(option.name);
  return (
    <Choice legend={legend} choices={choices} value={value} onChange={set} describedBy={field['aria-describedby']} />
  );
}

const OTHER = 'other';

/** Some providers take words beside those that are listed; what cannot be served, the quote tells. */
function List({ option, field, value, set }) {
  const { allowedValues, type } = option;
  const listed = allowedValues.indexOf(value);
  const [isOther, setOther] = useState(value !== undefined && listed < 0);
  const choose = ({ target }) => {
    setOther(target.value === OTHER);
    set(allowedValues[target.value]);
  };
  return (
    <>
      <select {...field} value={isOther ? OTHER : listed < 0 ? '' : listed} onChange={choose}>
        <option value="">{unset(option)}</option>
        {allowedValues.map((one, n) => (
          <option key={n} value={n}>
            {shown(one)}
          </option>
        ))}
        {type === 'string' && <option value={OTHER}>{t('other')}</option>}
      </select>
      {isOther && (
        <input
          class="other"
          type="text"
          aria-label={nameOf(option.name)}
          value={value ?? ''}
          onInput={({ target }) => set(target.value || undefined)}
        />
      )}
    </>
  );
}

function numberOf(text) {
  return text === '' || Number.isNaN(Number(text)) ? undefined : Number(text);
}

function NumberField({ option, field, value, set }) {
  return (
    <input
      {...field}
      type="number"
      min={option.minimum}
      max={option.maximum}
      step={option.type === 'integer' ? 1 : 'any'}
      placeholder={placeholder(option)}
      value={value ?? ''}
      onInput={(event) => set(numberOf(event.target.value))}
    />
  );
}

function Slider({ option, field, value, set }) {
  const { minimum, maximum, type } = option;
  const step = type === 'integer' ? 1 : Math.max(0.01, (maximum - minimum) / 100);
  return (
    <div class="slider">
      <input
        type="range"
        aria-label={nameOf(option.name)}
        min={minimum}
        max={maximum}
        step={step}
        value={value ?? option.default ?? (minimum + maximum) / 2}
        data-unset={value === undefined}
        onInput={(event) => set(Number(event.target.value))}
      />
      <NumberField option={option} field={field} value={value} set={set} />
    </div>
  );
}

/** The value used when none is given, else the bounds. Words that are not given are not chosen by anyone. */
function placeholder({ type, default: value, minimum, maximum }) {
  if (value !== null) return shown(value);
  if (minimum !== null && maximum !== null) return `${number(minimum)} – ${number(maximum)}`;
  return type === 'string' ? t('optional') : t('unset');
}

function Text({ option, field, value, set }) {
  return (
    <input
      {...field}
      type="text"
      placeholder={placeholder(option)}
      value={value ?? ''}
      onInput={(event) => set(event.target.value === '' ? undefined : event.target.value)}
    />
  );
}

/** Kept as it is typed; it becomes the option when it is JSON. */
function Json({ option, field, value, set }) {
  const [text, setText] = useState(value === undefined ? '' : JSON.stringify(value));
  const isWrong = text.trim() !== '' && parsed(text) === undefined;
  const type = (next) => {
    setText(next);
    set(parsed(next));
  };
  return (
    <>
      <textarea
        {...field}
        rows="2"
        spellcheck={false}
        placeholder={option.default === null ? 'JSON' : shown(option.default)}
        value={text}
        aria-invalid={isWrong || field['aria-invalid']}
        onInput={(event) => type(event.target.value)}
      />
      {isWrong && <p class="field-error">{t('not.json')}</p>}
    </>
  );
}
Json.isWide = true;
