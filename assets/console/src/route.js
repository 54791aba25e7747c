// Which view is shown, as the fragment of the address: #/gallery, #/generation/gen_….
import { signal } from '@preact/signals';

const read = () => {
  const [view = '', argument = ''] = location.hash.replace(/^#\/?/, '').split('/');
  return { view: view || 'create', argument };
};

export const route = signal(read());

addEventListener('hashchange', () => {
  route.value = read();
  scrollTo(0, 0);
});

export const go = (path) => {
  location.hash = `#/${path}`;
};
