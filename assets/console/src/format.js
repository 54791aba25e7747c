// Values as people read them, in the language of the page.
import { locale, number, plural, t } from './i18n.js';

export const credits = (n) => plural('credits', n);

/** Only what completes is charged, and what is under way may be. */
export const isCharged = ({ status }) => status !== 'FAILED' && status !== 'CANCELLED';

/** What credits cost: 1 is US$0.001. */
export const dollars = (n) => `US$${number(n / 1000, { minimumFractionDigits: 2, maximumFractionDigits: 3 })}`;

/** Seconds, as a person would say how long something takes. */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return t('seconds', { n: number(whole) });
  const [minutes, rest] = [Math.floor(whole / 60), whole % 60];
  if (minutes < 60) return rest ? t('minutes.seconds', { m: minutes, s: rest }) : t('minutes', { n: minutes });
  return t('hours.minutes', { h: Math.floor(minutes / 60), m: minutes % 60 });
}

/** The position of a player: 1:05. */
export function clock(seconds) {
  const whole = Math.floor(seconds || 0);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

export function bytes(n) {
  const [unit, value] = n < 1e3 ? ['byte', n] : n < 1e6 ? ['kilobyte', n / 1e3] : ['megabyte', n / 1e6];
  return number(value, { style: 'unit', unit, unitDisplay: 'short', maximumFractionDigits: 1 });
}

export function moment(text) {
  const options = { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' };
  return new Date(text).toLocaleString(locale(), options);
}

export const exactMoment = (text) =>
  new Date(text).toLocaleString(locale(), { dateStyle: 'medium', timeStyle: 'medium' });

export const day = (text) =>
  new Date(text).toLocaleDateString(locale(), { day: 'numeric', month: 'short', year: 'numeric' });

/** A value of JSON as it is shown in a sentence. */
export const shown = (value) => (typeof value === 'string' ? value : JSON.stringify(value));
