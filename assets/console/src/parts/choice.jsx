// A few alternatives side by side, of which one is chosen: radio buttons, so that arrow keys work.
import { useId } from 'preact/hooks';

/** `choices` are `[value, text]`; the legend may be hidden from sight where the place says it. */
export function Choice({ legend, hiddenLegend = false, choices, value, onChange, describedBy }) {
  const name = useId();
  return (
    <fieldset class="choice" aria-describedby={describedBy}>
      <legend class={hiddenLegend ? 'unseen' : undefined}>{legend}</legend>
      <div>
        {choices.map(([one, text]) => (
          <label key={String(one)}>
            <input type="radio" name={name} checked={one === value} onChange={() => onChange(one)} />
            <span>{text}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}
