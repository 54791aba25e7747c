// Brings something into sight. On a narrow page what happens is far below the form that caused it.
const calm = matchMedia('(prefers-reduced-motion: reduce)');
const behavior = () => (calm.matches ? 'auto' : 'smooth');

/** After the page has been drawn anew: what is asked for may not be there yet. */
export function reveal(selector, block = 'nearest') {
  requestAnimationFrame(() => document.querySelector(selector)?.scrollIntoView({ behavior: behavior(), block }));
}

/** Scrolls a column that is scrolled by itself, and never the page, until the end of something in it is seen. */
export function revealInColumn(element) {
  const column = element.closest('aside');
  const hidden = element.getBoundingClientRect().bottom - Math.min(innerHeight, column.getBoundingClientRect().bottom);
  if (hidden > 0) column.scrollBy({ behavior: behavior(), top: hidden + 12 });
}
