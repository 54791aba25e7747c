// Brings something into sight: on a narrow page what happens is far below the form that caused it.
const calm = matchMedia('(prefers-reduced-motion: reduce)');

/** After the page has been drawn anew: what is asked for may not be there yet. */
export function reveal(selector, block = 'nearest') {
  const behavior = calm.matches ? 'auto' : 'smooth';
  requestAnimationFrame(() => document.querySelector(selector)?.scrollIntoView({ behavior, block }));
}
