// The state of a generation: a word with a colour, and how far it is.
import { useEffect, useState } from 'preact/hooks';
import { duration } from '../format.js';
import { t } from '../i18n.js';
import { hasEnded } from '../watch.js';

export const Status = ({ status }) => <span class={`status ${status.toLowerCase()}`}>{t(`status.${status}`)}</span>;

/** A bar with the time that is left; it counts down by itself between two reports. */
export function Progress({ generation }) {
  const { progress, eta, queuePosition } = generation;
  const now = useNow(!hasEnded(generation));
  const left = eta && (new Date(eta) - now) / 1000;
  const text = queuePosition
    ? t('queue.position', { n: queuePosition })
    : left > 0
      ? t('time.left', { time: duration(left) })
      : t('any.moment');
  return (
    <div class="progress">
      <progress max="100" value={progress} aria-label={t('progress')} />
      <p>
        <span>{text}</span>
        <span>{progress} %</span>
      </p>
    </div>
  );
}

function useNow(runs) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (!runs) return undefined;
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, [runs]);
  return now;
}
