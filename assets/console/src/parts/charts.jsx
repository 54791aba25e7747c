// Small charts, each with its figures as text.
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

const HEIGHT = 140;
const STEP = 40;

/** Columns in a row, each stacked of the kinds; a table says the same. */
export function Columns({ label, kinds, columns }) {
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
      <svg viewBox={`0 -14 ${columns.length * STEP} ${HEIGHT + 36}`} role="img" aria-label={label}>
        <line x1="0" x2={columns.length * STEP} y1={HEIGHT} y2={HEIGHT} />
        {columns.map((column, n) => (
          <g key={column.name} transform={`translate(${n * STEP})`}>
            <Stack values={column.values} kinds={kinds} scale={HEIGHT / top} />
            {totals[n] > 0 && (
              <text class="total" x={STEP / 2} y={HEIGHT - (totals[n] / top) * HEIGHT - 4}>
                {number(totals[n], { notation: 'compact' })}
              </text>
            )}
            {(columns.length - 1 - n) % 2 === 0 && (
              <text x={STEP / 2} y={HEIGHT + 16}>
                {column.name}
              </text>
            )}
          </g>
        ))}
      </svg>
      <details>
        <summary>{t('as.table')}</summary>
        <Figures label={label} kinds={kinds} columns={columns} />
      </details>
    </div>
  );
}

function Stack({ values, kinds, scale }) {
  let y = HEIGHT;
  return values.map((value, n) => {
    y -= value * scale;
    return <rect key={n} class={kinds[n].className} x="9" y={y} width={STEP - 18} height={value * scale} />;
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
