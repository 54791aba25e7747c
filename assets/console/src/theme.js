// Light or dark: as the system has it, until a person chooses.
import { effect, signal } from '@preact/signals';

const KEPT = 'doitong.theme';
const dark = matchMedia('(prefers-color-scheme: dark)');

export const theme = signal(localStorage.getItem(KEPT) ?? '');

effect(() => {
  if (theme.value) document.documentElement.dataset.theme = theme.value;
});

export function switchTheme() {
  const isDark = theme.value ? theme.value === 'dark' : dark.matches;
  theme.value = isDark ? 'light' : 'dark';
  localStorage.setItem(KEPT, theme.value);
}
