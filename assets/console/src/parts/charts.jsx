// Small charts, each with its figures as text.
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { number, t } from '../i18n.js';

const RADIUS = 34;
const ROUND = 2 * Math.PI * RADIUS;

/** How much of a limit is used; without a limit the ring is empty. */
export function Ring({ label, used, limit }) {
  const part = limit ? Math.min(1, used / limit) : 0;
  const words = limit
    ? t('used.of', { used: number(used), limit: number(limit) })
    : t('used.unlimited', { used: number(used) });
  return (
    <figure class={part >= 0.9 ? 'ring nearly' : 'ring'}>
      <svg viewBox="0 0 84 84" width="112" height="112" role="img" aria-label={`${label}: ${words}`}>
        <circle cx="42" cy="42" r={RADIUS} />
        {part > 0 && <circle class="used" cx="42" cy="42" r={RADIUS} stroke-dasharray={`${part * ROUND} ${ROUND}`} />}
        <text x="42" y="43">
          {number(used)}
        </text>
        <text class="limit" x="42" y="57">
          / {limit ? number(limit) : '∞'}
        </text>
      </svg>
      <figcaption>{label}</figcaption>
    </figure>
  );
}

/** Bars that lie, each with its name and figure. */
export function Bars({ label, rows, top }) {
  return (
    <ul class="bars" aria-label={label}>
      {rows.map(({ name, value, className }) => (
        <li key={name} class={className}>
          <span>{name}</span>
          <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
            <rect width="100" height="8" />
            <rect class="used" width={(value / top) * 100} height="8" />
          </svg>
          <b>{number(value)}</b>
        </li>
      ))}
    </ul>
  );
}

const HEIGHT = 180;
/** The widest column, and the room that the name of one needs. */
const WIDEST = 36;
const NAME = 56;

/** The width that an element has, in pixels: a chart of that many units has letters of the page's own size. */
function useWidth() {
  const element = useRef(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const measure = () => element.current && setWidth(element.current.clientWidth);
    const observer = new ResizeObserver(measure);
    measure();
    observer.observe(element.current);
    return () => observer.disconnect();
  }, []);
  return [element, width];
}

/** Columns in a row, each stacked of the kinds; a table says the same. */
export function Columns({ label, none, kinds, columns }) {
  const [frame, width] = useWidth();
  const step = width / columns.length;
  const every = Math.ceil(NAME / Math.max(step, 1));
  const totals = columns.map(({ values }) => values.reduce((a, b) => a + b, 0));
  const top = Math.max(...totals, 1);
  return (
    <div class="columns">
      <ul class="key">
        {kinds.map(({ name, className }) => (
          <li key={name} class={className}>
            {name}
          </li>
        ))}
      </ul>
      <div class="chart" ref={frame}>
        {totals.every((total) => total === 0) && <p class="hint">{none}</p>}
        <svg width={width} height={HEIGHT + 48} viewBox={`0 -20 ${width} ${HEIGHT + 48}`} role="img" aria-label={label}>
          <line x1="0" x2={width} y1={HEIGHT} y2={HEIGHT} />
          {columns.map((column, n) => (
            <g key={column.name} transform={`translate(${(n + 0.5) * step})`}>
              <Stack values={column.values} kinds={kinds} scale={HEIGHT / top} width={Math.min(WIDEST, step * 0.6)} />
              {totals[n] > 0 && (
                <text class="total" y={HEIGHT - (totals[n] / top) * HEIGHT - 6}>
                  {number(totals[n], { notation: 'compact' })}
                </text>
              )}
              {(columns.length - 1 - n) % every === 0 && (
                <Name column={column} y={HEIGHT + 20} edge={n === columns.length - 1 && step < NAME ? step / 2 : null} />
              )}
            </g>
          ))}
        </svg>
      </div>
      <details>
        <summary>{t('as.table')}</summary>
        <Figures label={label} kinds={kinds} columns={columns} />
      </details>
    </div>
  );
}

/** The name of a column; at the edge there is no room beyond it. */
const Name = ({ column, y, edge }) => (
  <text class={edge === null ? undefined : 'last'} x={edge ?? 0} y={y}>
    {column.name}
  </text>
);

function Stack({ values, kinds, scale, width }) {
  let y = HEIGHT;
  return values.map((value, n) => {
    y -= value * scale;
    return <rect key={n} class={kinds[n].className} x={-width / 2} y={y} width={width} height={value * scale} />;
  });
}

function Figures({ label, kinds, columns }) {
  return (
    <table aria-label={label}>
      <thead>
        <tr>
          <td />
          {kinds.map(({ name }) => (
            <th key={name} scope="col">
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {columns.map(({ name, values }) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            {values.map((value, n) => (
              <td key={n}>{number(value)}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
