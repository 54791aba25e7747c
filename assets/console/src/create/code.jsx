// The form's request as a program to copy.
import { useState } from 'preact/hooks';
import { t } from '../i18n.js';
import { Choice } from '../parts/choice.jsx';
import { Copy } from '../parts/copy.jsx';
import { Dialog } from '../parts/dialog.jsx';
import { input } from './draft.js';
import { SNIPPETS } from './snippets.js';

export function CodeDialog({ idempotencyKey, onClose }) {
  const [name, setName] = useState('curl');
  const text = SNIPPETS[name](input.value, idempotencyKey);
  const choices = Object.keys(SNIPPETS).map((one) => [one, one]);
  return (
    <Dialog title={t('code.title')} onClose={onClose}>
      <Choice legend={t('code.language')} hiddenLegend choices={choices} value={name} onChange={setName} />
      <pre class="code" tabIndex={0} aria-label={name}>
        <code>{text}</code>
      </pre>
      <p class="hint">{t('code.hint')}</p>
      <Copy text={text}>{t('copy')}</Copy>
    </Dialog>
  );
}
