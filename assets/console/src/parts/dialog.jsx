// A modal dialog: the browser's own, which keeps the focus inside and gives it back.
import { useId, useLayoutEffect, useRef } from 'preact/hooks';
import { t } from '../i18n.js';
import { Icon } from './icons.jsx';

export function Dialog({ title, onClose, children }) {
  const dialog = useRef(null);
  const id = useId();
  useLayoutEffect(() => dialog.current.showModal(), []);
  return (
    <dialog ref={dialog} aria-labelledby={id} onClose={onClose}>
      <header>
        <h2 id={id}>{title}</h2>
        <button type="button" class="bare" aria-label={t('close')} onClick={() => dialog.current.close()}>
          <Icon name="close" />
        </button>
      </header>
      {children}
    </dialog>
  );
}
