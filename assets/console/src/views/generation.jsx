// One generation: its result, what it took, what was changed, what was tried, where its webhook is.
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { providerName } from '../catalogue.js';
import { reuse } from '../create/draft.js';
import { bytes, dollars, duration, exactMoment, isCharged, moment, shown } from '../format.js';
import { generation, load, requestOf } from '../generations.js';
import { maybe, plural, t } from '../i18n.js';
import { key } from '../key.js';
import { Adjustments } from '../parts/adjustments.jsx';
import { CancelButton } from '../parts/cancel.jsx';
import { Copy } from '../parts/copy.jsx';
import { Icon } from '../parts/icons.jsx';
import { Lines } from '../parts/lines.jsx';
import { Progress, Status } from '../parts/status.jsx';
import { Trouble } from '../parts/trouble.jsx';
import { Delivery } from '../parts/delivery.jsx';
import { go } from '../route.js';
import { describe, Result } from '../viewer/result.jsx';
import { hasEnded } from '../watch.js';

export function GenerationView({ id }) {
  const [refusal, setRefusal] = useState(null);
  useEffect(() => {
    setRefusal(null);
    load(id).catch(setRefusal);
  }, [id, key.value]);
  const one = generation(id);
  return (
    <div class="generation">
      <a class="back" href="#/gallery">
        <Icon name="back" size={16} /> {t('gallery')}
      </a>
      {refusal && <Trouble error={refusal} />}
      {!one && !refusal && <p class="hint busy">{t('loading')}</p>}
      {one && <Known generation={one} />}
    </div>
  );
}

function Known({ generation: one }) {
  return (
    <article class={one.type.toLowerCase()}>
      <Title generation={one} />
      <div class="stage">
        {one.status === 'COMPLETED' && <Result generation={one} />}
        {one.error && <Trouble error={one.error} />}
        {one.status === 'CANCELLED' && <p class="nothing">{t('cancelled.about')}</p>}
        {!hasEnded(one) && (
          <div class="under-way">
            <Progress generation={one} />
            <CancelButton id={one.id} />
          </div>
        )}
      </div>
      <aside aria-label={t('details')}>
        <h2 class="unseen">{t('details')}</h2>
        <Actions generation={one} />
        <Facts generation={one} />
        <Adjustments adjustments={one.adjustments} />
        <Attempts attempts={one.attempts} />
        {one.webhook && <Delivery generation={one} />}
      </aside>
    </article>
  );
}

/** A prompt of more letters is set smaller, and three lines of it are shown at once. */
const LONG = 180;

function Title({ generation: one }) {
  const [isOpen, setOpen] = useState(false);
  const [isCut, setCut] = useState(false);
  const title = useRef(null);
  const words = describe(one);
  const form = words.length > LONG ? `long${isOpen ? '' : ' cut'}` : '';
  useLayoutEffect(() => {
    const { scrollHeight, clientHeight } = title.current;
    if (!isOpen) setCut(scrollHeight > clientHeight + 1);
  }, [words, isOpen]);
  return (
    <div class="title">
      <h1 ref={title} class={requestOf(one.id)?.input.text ? `words ${form}` : form}>
        {words}
      </h1>
      {isCut && (
        <button type="button" class="link" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
          {isOpen ? t('show.less') : t('show.more')}
        </button>
      )}
    </div>
  );
}

function Actions({ generation: { id, status, url } }) {
  const request = requestOf(id);
  const again = () => {
    reuse(request);
    go('create');
  };
  return (
    <div class="actions">
      <Status status={status} />
      {url && (
        <a class="button quiet" href={url} download>
          <Icon name="download" size={16} /> {t('download')}
        </a>
      )}
      {request && (
        <button type="button" class="quiet" onClick={again}>
          <Icon name="again" size={16} /> {t('use.again')}
        </button>
      )}
    </div>
  );
}

function Facts({ generation: one }) {
  const { metadata, assets } = one;
  const took = one.completedAt && (new Date(one.completedAt) - new Date(one.createdAt)) / 1000;
  const facts = [
    [t('id'), <IdWithCopy id={one.id} />],
    [t('provider'), providerName(one.provider)],
    [t('model'), one.model],
    [t('cost'), costOf(one)],
    [t('created'), exactMoment(one.createdAt)],
    [t('took'), took ? duration(took) : null],
    [t('size'), metadata?.width && `${metadata.width} × ${metadata.height}`],
    [t('length'), metadata?.duration && duration(metadata.duration)],
    [t('voice'), metadata?.voice],
    [t('seed'), metadata?.seed],
    [t('file'), assets[0] && `${assets[0].contentType}, ${bytes(assets[0].sizeBytes)}`],
    [t('labels'), one.labels && <code>{shown(one.labels)}</code>],
  ];
  return <Lines facts={facts} />;
}

const costOf = (one) =>
  isCharged(one) ? `${plural('credits', one.creditCost)} · ${dollars(one.creditCost)}` : t('not.charged');

const IdWithCopy = ({ id }) => (
  <span class="with-copy">
    <code title={id}>{id}</code> <Copy text={id} label={t('copy.id')} />
  </span>
);

function Attempts({ attempts }) {
  if (attempts.length === 0) return null;
  return (
    <section class="attempts">
      <h3>{t('attempts')}</h3>
      <ol>
        {attempts.map(({ provider, model, upstream, outcome, startedAt, endedAt, message }) => (
          <li key={startedAt} class={outcome.toLowerCase()}>
            <b>{maybe(`outcome.${outcome}`, outcome)}</b> {providerName(provider)} · {model} · {upstream}
            <small>
              {moment(startedAt)}
              {endedAt && ` · ${duration((new Date(endedAt) - new Date(startedAt)) / 1000)}`}
            </small>
            {message && <p lang="en">{message}</p>}
          </li>
        ))}
      </ol>
    </section>
  );
}
