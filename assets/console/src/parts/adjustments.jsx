// What was asked for and is served differently.
import { shown } from '../format.js';
import { t } from '../i18n.js';

export function Adjustments({ adjustments }) {
  if (adjustments.length === 0) return null;
  return (
    <div class="adjustments">
      <h3>{t('adjustments')}</h3>
      <ul>
        {adjustments.map(({ option, requested, used, reason }) => (
          <li key={option}>
            <code>{option}</code>{' '}
            <del>
              <span class="unseen">{t('requested')} </span>
              {shown(requested)}
            </del>{' '}
            <span aria-hidden="true">→</span> <b>{used === null ? t('not.used') : shown(used)}</b>
            <small lang="en">{reason}</small>
          </li>
        ))}
      </ul>
    </div>
  );
}
