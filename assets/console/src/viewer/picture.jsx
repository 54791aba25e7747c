// A picture that can be looked at closely: fitted at first, then larger, moved by scrolling, arrow keys or dragging.
import { useRef, useState } from 'preact/hooks';
import { number, t } from '../i18n.js';
import { Icon } from '../parts/icons.jsx';

const STEPS = [1, 1.5, 2, 3, 4, 6];

export function Picture({ asset, alt }) {
  const [step, setStep] = useState(0);
  const frame = useRef(null);
  const zoomTo = (next) => setStep(Math.min(STEPS.length - 1, Math.max(0, next)));
  const keys = { '+': step + 1, '=': step + 1, '-': step - 1, 0: 0 };
  const onKeyDown = (event) => {
    if (!(event.key in keys) || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    zoomTo(keys[event.key]);
  };
  return (
    <figure class="picture">
      <div
        ref={frame}
        class={step > 0 ? 'frame zoomed' : 'frame'}
        role="region"
        aria-label={t('picture.region')}
        tabIndex={0}
        onKeyDown={onKeyDown}
        onPointerDown={(event) => drag(event, frame.current)}
        onDblClick={() => zoomTo(step > 0 ? 0 : 2)}
      >
        <img
          src={asset.url}
          alt={alt}
          width={asset.width}
          height={asset.height}
          draggable={false}
          style={step > 0 ? { width: `${STEPS[step] * 100}%` } : {}}
        />
      </div>
      <figcaption class="zoom">
        <button
          type="button"
          class="bare"
          aria-label={t('zoom.out')}
          disabled={step === 0}
          onClick={() => zoomTo(step - 1)}
        >
          <Icon name="minus" />
        </button>
        <output>{step === 0 ? t('zoom.fit') : `${number(STEPS[step])}×`}</output>
        <button
          type="button"
          class="bare"
          aria-label={t('zoom.in')}
          disabled={step === STEPS.length - 1}
          onClick={() => zoomTo(step + 1)}
        >
          <Icon name="plus" />
        </button>
        <button type="button" class="bare" aria-label={t('zoom.fit')} disabled={step === 0} onClick={() => zoomTo(0)}>
          <Icon name="fit" />
        </button>
      </figcaption>
    </figure>
  );
}

function drag(event, frame) {
  if (event.pointerType !== 'mouse' || event.button !== 0) return;
  const [x, y, left, top] = [event.clientX, event.clientY, frame.scrollLeft, frame.scrollTop];
  const move = (moved) => frame.scrollTo(left - (moved.clientX - x), top - (moved.clientY - y));
  const end = () => removeEventListener('pointermove', move);
  addEventListener('pointermove', move);
  addEventListener('pointerup', end, { once: true });
}
