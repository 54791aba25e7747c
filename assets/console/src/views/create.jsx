// The view where generations are asked for: the form at one side, the ticket and what runs at the other.
import { useEffect } from 'preact/hooks';
import { loadProviders } from '../catalogue.js';
import { Delivery } from '../create/delivery.jsx';
import { draft } from '../create/draft.js';
import { Inputs } from '../create/inputs.jsx';
import { Options } from '../create/options.jsx';
import { Providers } from '../create/providers.jsx';
import { Recent } from '../create/recent.jsx';
import { run, RunBar, Ticket } from '../create/ticket.jsx';
import { TypeCards } from '../create/types.jsx';
import { t } from '../i18n.js';
import { key } from '../key.js';

export function Create() {
  const { type } = draft.value;
  useEffect(() => {
    loadProviders(type);
  }, [type, key.value]);
  const submit = (event) => {
    event.preventDefault();
    run();
  };
  return (
    <form class={`create ${type.toLowerCase()}`} onSubmit={submit} onKeyDown={spendNothingByEnter} noValidate>
      <h1>{t('create.title')}</h1>
      <div class="composer">
        <TypeCards />
        <Inputs />
        <Providers />
        <Options />
        <Delivery />
      </div>
      <aside aria-label={t('quote.and.runs')}>
        <Ticket />
        <Recent />
      </aside>
      <RunBar />
    </form>
  );
}

/** Enter in a field would press the button that spends credits. */
function spendNothingByEnter(event) {
  const { tagName, type } = event.target;
  if (event.key === 'Enter' && tagName === 'INPUT' && type !== 'file') event.preventDefault();
}
