// What was started here, newest first: the newest with its result, the others as a line.
import { generation, recent } from '../generations.js';
import { t } from '../i18n.js';
import { CancelButton } from '../parts/cancel.jsx';
import { Progress, Status } from '../parts/status.jsx';
import { Thumb } from '../parts/thumb.jsx';
import { Trouble } from '../parts/trouble.jsx';
import { describe, Result } from '../viewer/result.jsx';
import { hasEnded } from '../watch.js';

const SHOWN = 8;

export function Recent() {
  const ids = recent.value.slice(0, SHOWN);
  if (ids.length === 0) return null;
  return (
    <section class="recent" aria-labelledby="recent-title">
      <h2 id="recent-title">{t('recent')}</h2>
      <ul>
        {ids.map((id, n) => (
          <li key={id}>{n === 0 ? <Newest generation={generation(id)} /> : <Line generation={generation(id)} />}</li>
        ))}
      </ul>
    </section>
  );
}

function Newest({ generation: one }) {
  return (
    <article class={`stub newest ${one.type.toLowerCase()}`} data-id={one.id}>
      <Head generation={one} />
      {one.status === 'COMPLETED' && <Result generation={one} />}
      {one.error && <Trouble error={one.error} />}
      <Under generation={one} />
    </article>
  );
}

function Line({ generation: one }) {
  return (
    <article class={`stub line ${one.type.toLowerCase()}`} data-id={one.id}>
      <Thumb generation={one} />
      <div>
        <Head generation={one} />
        <Under generation={one} />
      </div>
    </article>
  );
}

function Head({ generation: one }) {
  return (
    <header>
      <Status status={one.status} />
      <a href={`#/generation/${one.id}`}>{describe(one)}</a>
    </header>
  );
}

function Under({ generation: one }) {
  if (hasEnded(one)) return null;
  return (
    <div class="under-way">
      <Progress generation={one} />
      <CancelButton id={one.id} />
    </div>
  );
}
