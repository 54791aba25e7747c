// Ends a generation under way.
import { useState } from 'preact/hooks';
import { cancel } from '../generations.js';
import { t } from '../i18n.js';
import { Trouble } from './trouble.jsx';

export function CancelButton({ id }) {
  const [{ isAsked, refusal }, setState] = useState({ isAsked: false, refusal: null });
  const ask = async () => {
    setState({ isAsked: true, refusal: null });
    try {
      await cancel(id);
    } catch (error) {
      setState({ isAsked: false, refusal: error });
    }
  };
  return (
    <>
      <button type="button" class="quiet" aria-disabled={isAsked} onClick={isAsked ? undefined : ask}>
        {isAsked ? t('cancelling') : t('cancel')}
      </button>
      {refusal && <Trouble error={refusal} compact />}
    </>
  );
}
