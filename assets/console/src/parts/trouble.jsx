// An error as people read it: what it is called, what the gateway says, what to do, and the codes for a report.
import { maybe, t } from '../i18n.js';
import { duration } from '../format.js';
import { Icon } from './icons.jsx';

/** What an error is called, by its code and reason. */
export const errorName = ({ code = 'INTERNAL', reason }) =>
  maybe(`code.${code}.${reason}`, null) ?? maybe(`code.${code}`, t('code.INTERNAL'));

/** Of a Refusal, or of a generation's `error`. */
export function Trouble({ error, onRetry, compact = false }) {
  const { code = 'INTERNAL', reason, field, message, retryAfter } = error;
  const action = maybe(`do.${code}.${reason}`, null) ?? maybe(`do.${code}`, t('do.INTERNAL'));
  return (
    <div class="trouble" role="alert">
      <Icon name="warn" />
      <div>
        <strong>{errorName(error)}</strong>
        <p lang={code === 'NETWORK' ? undefined : 'en'}>{code === 'NETWORK' ? t('network') : message}</p>
        {!compact && <p class="what-to-do">{action}</p>}
        <p class="codes">
          <code>{code}</code>
          {reason && <code>{reason}</code>}
          {field && <code>{field}</code>}
          {retryAfter > 0 && <span>{t('retry.after', { time: duration(retryAfter) })}</span>}
        </p>
        {onRetry && (
          <button type="button" class="quiet" onClick={onRetry}>
            {t('try.again')}
          </button>
        )}
      </div>
    </div>
  );
}
