// What is to be made: four cards.
import { TYPES } from '../catalogue.js';
import { t } from '../i18n.js';
import { Icon } from '../parts/icons.jsx';
import { chooseType, draft } from './draft.js';

export function TypeCards() {
  return (
    <fieldset class="types">
      <legend class="unseen">{t('type')}</legend>
      {TYPES.map((type) => (
        <label key={type} class={`type-card ${type.toLowerCase()}`}>
          <input type="radio" name="type" checked={draft.value.type === type} onChange={() => chooseType(type)} />
          <span class="face">
            <Icon name={type} size={24} />
            <span>
              <strong>{t(`type.${type}`)}</strong>
              <small>{t(`type.${type}.about`)}</small>
            </span>
          </span>
        </label>
      ))}
    </fieldset>
  );
}
