// Line icons, drawn on a grid of 20. They say nothing that the text beside them, or a label, does not.
const PATHS = {
  VIDEO: 'M3 5.5h9.5v9H3zM12.5 9l4.5-2.5v7L12.5 11',
  IMAGE: 'M3 4h14v12H3zM3 13l4-4 3.5 3.5L13 10l4 4M12.8 7.3h.01',
  AUDIO: 'M3 10h1M6 7v6M9 4v12M12 7.5v5M15 6v8M17 10h0',
  AVATAR: 'M10 3.5a3 3 0 1 1 0 6 3 3 0 0 1 0-6zM4 17c.4-3.2 2.8-5 6-5s5.6 1.8 6 5',
  create: 'M10 4v12M4 10h12',
  gallery: 'M3.5 3.5h5.5v5.5H3.5zM11 3.5h5.5v5.5H11zM3.5 11h5.5v5.5H3.5zM11 11h5.5v5.5H11z',
  usage: 'M3.5 16.5h13M5.5 13.5v-4M10 13.5v-9M14.5 13.5v-6',
  webhooks:
    'M7 12.5a3 3 0 1 1-2.5-4.4M8.5 5.8a3 3 0 1 1 4 3.8M12.5 15.2a3 3 0 1 0 .6-5.6M5 12l4-6M11 9l2.5 4.5M7.5 13.5h5',
  time: 'M10 3.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13zM10 6.5V10l2.5 2',
  light:
    'M10 6.8a3.2 3.2 0 1 1 0 6.4 3.2 3.2 0 0 1 0-6.4zM10 2.5v1.5M10 16v1.5M2.5 10H4M16 10h1.5M4.7 4.7l1 1M14.3 14.3l1 1M4.7 15.3l1-1M14.3 5.7l1-1',
  leave: 'M8 3.5H4v13h4M12 6.5 15.5 10 12 13.5M15.5 10H8',
  close: 'M5 5l10 10M15 5 5 15',
  copy: 'M7 7h9.5v9.5H7zM13 7V3.5H3.5V13H7',
  code: 'M7 5.5 2.5 10 7 14.5M13 5.5l4.5 4.5-4.5 4.5',
  download: 'M10 3.5v9M6 9l4 4 4-4M4 16.5h12',
  again: 'M15.5 8A6 6 0 1 0 16 11.5M16 4v4h-4',
  file: 'M10 13V4M6.5 7.5 10 4l3.5 3.5M4 12.5v4h12v-4',
  play: 'M6.5 4.5v11l9-5.5z',
  pause: 'M7 4.5v11M13 4.5v11',
  plus: 'M10 4.5v11M4.5 10h11',
  minus: 'M4.5 10h11',
  fit: 'M4 8V4h4M12 4h4v4M16 12v4h-4M8 16H4v-4',
  back: 'M11.5 4.5 6 10l5.5 5.5',
  next: 'M8.5 4.5 14 10l-5.5 5.5',
  check: 'M4.5 10.5 8.5 14.5 15.5 6',
  warn: 'M10 3.5 17 16H3zM10 8v4M10 14h.01',
  eye: 'M2.5 10s2.8-5 7.5-5 7.5 5 7.5 5-2.8 5-7.5 5-7.5-5-7.5-5zM10 7.8a2.2 2.2 0 1 1 0 4.4 2.2 2.2 0 0 1 0-4.4z',
  auto: 'M10 2.5l1.8 5.7 5.7 1.8-5.7 1.8L10 17.5l-1.8-5.7L2.5 10l5.7-1.8z',
};

export const Icon = ({ name, size = 20 }) => (
  <svg class="icon" viewBox="0 0 20 20" width={size} height={size} aria-hidden="true">
    <path d={PATHS[name]} />
  </svg>
);

/** A hill with its sun: Doi Tung is a mountain. */
export const Mark = () => (
  <svg viewBox="0 0 32 32" width="30" height="30" aria-hidden="true">
    <rect class="mark-ground" width="32" height="32" rx="8" />
    <path class="mark-hill" d="M5 23.5 12.4 9.6a1 1 0 0 1 1.8 0l3.6 7.1 1.9-3.2a1 1 0 0 1 1.7 0L27 23.5z" />
    <circle class="mark-sun" cx="22.5" cy="8.5" r="2.6" />
  </svg>
);
