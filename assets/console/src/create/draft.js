// The request that the form holds, and the `GenerateInput` made of it.
import { computed, signal } from '@preact/signals';

/** The inputs besides text that a type can be made from, as `ContentInput` names them. */
export const MEDIA = {
  VIDEO: ['image', 'lastImage', 'images', 'video', 'audio'],
  IMAGE: ['image', 'images'],
  AUDIO: ['audio', 'video'],
  AVATAR: ['image', 'video', 'audio'],
};

/** What kind of file an input takes. */
export const KIND = { image: 'image', lastImage: 'image', images: 'image', video: 'video', audio: 'audio' };

const EMPTY = {
  type: 'IMAGE',
  provider: null,
  model: null,
  text: '',
  media: {},
  options: {},
  strict: false,
  priority: 'BALANCED',
  webhookUrl: '',
  maxCredits: '',
  labels: '',
};

export const draft = signal(EMPTY);

export function clear() {
  draft.value = EMPTY;
}

export function change(part) {
  draft.value = { ...draft.value, ...part };
}

/** Another type has other providers; the words and the files that it takes too stay. */
export function chooseType(type) {
  const kept = Object.entries(draft.value.media).filter(([name]) => MEDIA[type].includes(name));
  change({ type, provider: null, model: null, options: {}, media: Object.fromEntries(kept) });
}

/** Options that the other provider has under the same name stay: what it cannot serve, the quote tells. */
export function chooseProvider(provider, { model = null, options = [] } = {}) {
  const names = options.map(({ name }) => name);
  const kept = Object.entries(draft.value.options).filter(([name]) => names.includes(name));
  change({ provider, model, options: Object.fromEntries(kept) });
}

/** Sets an option; undefined leaves it to the provider. */
export function setOption(name, value) {
  const { [name]: _, ...options } = draft.value.options;
  change({ options: value === undefined ? options : { ...options, [name]: value } });
}

/** Sets an input file by its address; an empty one takes it away. */
export function setMedia(name, value) {
  const { [name]: _, ...media } = draft.value.media;
  change({ media: value === undefined ? media : { ...media, [name]: value } });
}

/** The form filled with a request that was made before. */
export function reuse({ type, provider, model, input, options = {}, priority, webhookUrl, maxCredits, labels }) {
  const { text = '', ...media } = input;
  const { strict = false, ...others } = options;
  draft.value = {
    ...EMPTY,
    ...{ type, text, media, strict, options: others },
    provider: provider ?? null,
    model: model ?? null,
    priority: priority ?? 'BALANCED',
    webhookUrl: webhookUrl ?? '',
    maxCredits: maxCredits ?? '',
    labels: labels ? JSON.stringify(labels) : '',
  };
}

/** The `GenerateInput`; what is not filled in is left out. */
export const input = computed(() => {
  const { type, provider, model, text, media, options, strict, priority, webhookUrl, maxCredits, labels } = draft.value;
  const given = Object.entries(media).filter(([, value]) => (Array.isArray(value) ? value.length > 0 : value));
  const all = strict ? { ...options, strict } : options;
  return {
    type,
    ...(provider && { provider }),
    ...(model && { model }),
    input: { ...(text.trim() && { text }), ...Object.fromEntries(given) },
    ...(Object.keys(all).length > 0 && { options: all }),
    ...(!provider && priority !== 'BALANCED' && { priority }),
    ...(webhookUrl.trim() && { webhookUrl: webhookUrl.trim() }),
    ...(maxCredits !== '' && { maxCredits: Number(maxCredits) }),
    ...(parsed(labels) !== undefined && { labels: parsed(labels) }),
  };
});

/** Whether there is anything to make something from. */
export const isEmpty = computed(() => Object.keys(input.value.input).length === 0);

/** JSON as it was typed; undefined when there is none yet. */
export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
