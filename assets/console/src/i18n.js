// The language of the page: chosen from the browser, switchable, every string in one table a language.
import { effect, signal } from '@preact/signals';
import en from './strings/en.js';
import malay from './strings/catalogue.ms.js';
import ms from './strings/ms.js';

const KEPT = 'doitong.language';
const TABLES = { en, ms };

export const LANGUAGES = { en: 'English', ms: 'Bahasa Melayu' };
export const language = signal(localStorage.getItem(KEPT) in TABLES ? localStorage.getItem(KEPT) : ofBrowser());

effect(() => {
  document.documentElement.lang = language.value;
});

export function setLanguage(chosen) {
  localStorage.setItem(KEPT, chosen);
  language.value = chosen;
}

function ofBrowser() {
  const wanted = navigator.languages.map((tag) => tag.split('-')[0].toLowerCase());
  return wanted.find((tag) => tag in TABLES) ?? 'en';
}

/** The text of a key, with `{name}` replaced by the parameter of that name. */
export function t(key, parameters = {}) {
  const text = TABLES[language.value][key];
  return text.replaceAll(/\{(\w+)\}/g, (_, name) => parameters[name]);
}

/** The text of a key that only some values have (names of options and codes); `otherwise` when there is none. */
export function maybe(key, otherwise) {
  return TABLES[language.value][key] ?? otherwise;
}

/** A phrase of the catalogue, which is in English, as `{ text, lang }`; the language is undefined when it is the page's. */
export function phrase(english) {
  if (language.value === 'en') return { text: english };
  const [, words, stop] = english.match(/^(.*?)(\.?)$/s);
  const own = malay(words);
  return own ? { text: own + stop } : { text: english, lang: 'en' };
}

/** Text with a number, whose form depends on it: `KEY.one` or `KEY.other`. */
export function plural(key, n, parameters = {}) {
  const form = new Intl.PluralRules(language.value).select(n);
  return t(`${key}.${form}`, { n: number(n), ...parameters });
}

export function number(n, options) {
  return new Intl.NumberFormat(locale(), options).format(n);
}

export const locale = () => ({ en: 'en-GB', ms: 'ms-MY' })[language.value];
