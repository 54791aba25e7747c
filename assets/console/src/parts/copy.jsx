// A button that copies a text, and says that it did.
import { useState } from 'preact/hooks';
import { announce } from '../announce.js';
import { t } from '../i18n.js';
import { Icon } from './icons.jsx';

const SHOWN_MS = 2_000;

export function Copy({ text, label, children }) {
  const [isDone, setDone] = useState(false);
  const copy = async () => {
    await toClipboard(text);
    announce(t('copied'));
    setDone(true);
    setTimeout(() => setDone(false), SHOWN_MS);
  };
  return (
    <button type="button" class={children ? 'quiet' : 'bare'} aria-label={children ? undefined : label} onClick={copy}>
      <Icon name={isDone ? 'check' : 'copy'} size={16} />
      {children && (isDone ? t('copied') : children)}
    </button>
  );
}

/** Browsers give no clipboard to pages that came over plain HTTP from another machine; there a selection is copied. */
async function toClipboard(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement('textarea');
  area.value = text;
  (document.querySelector('dialog[open]') ?? document.body).append(area);
  area.select();
  document.execCommand('copy');
  area.remove();
}
