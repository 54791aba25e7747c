// What it is made from: words, and files by address or by upload.
import { signal } from '@preact/signals';
import { useId, useState } from 'preact/hooks';
import { account } from '../account.js';
import { announce } from '../announce.js';
import { upload } from '../api.js';
import { t } from '../i18n.js';
import { Icon } from '../parts/icons.jsx';
import { Trouble } from '../parts/trouble.jsx';
import { change, draft, KIND, MEDIA, setMedia } from './draft.js';
import { FieldError, problemOf } from './problem.jsx';

/** Words that the sandbox of test mode acts on. */
const STEERING = '[[slow]], [[fail]], [[reject]], [[unavailable]]';

/** Inputs that are shown although nothing is in them yet. */
const opened = signal([]);

export function Inputs() {
  const { type, text, media } = draft.value;
  const id = useId();
  const problem = problemOf('input.text');
  // One that is missing is asked for where it is given.
  const isShown = (name) => name in media || opened.value.includes(name) || problemOf(`input.${name}`) !== null;
  const names = MEDIA[type];
  return (
    <Drop onFile={(file) => place(file, names)}>
      <div class="prompt">
        <label for={id}>{t(`prompt.${type}`)}</label>
        <textarea
          id={id}
          rows="4"
          value={text}
          placeholder={t(`prompt.${type}.example`)}
          aria-invalid={problem ? true : undefined}
          aria-describedby={`${id}-problem`}
          onInput={(event) => change({ text: event.target.value })}
          onKeyDown={runOnEnter}
        />
        <FieldError id={`${id}-problem`} problem={problem} />
      </div>
      {names.filter(isShown).map((name) => (
        <MediaField key={name} name={name} />
      ))}
      <div class="attach" role="group" aria-label={t('attach')}>
        {names
          .filter((name) => !isShown(name))
          .map((name) => (
            <button key={name} type="button" class="chip" onClick={() => (opened.value = [...opened.value, name])}>
              <Icon name="plus" size={14} /> {t(`media.${name}`)}
            </button>
          ))}
        <span class="hint">{t('drop.hint')}</span>
      </div>
      {account.value?.mode === 'test' && <p class="hint steering">{t('sandbox.hint', { words: STEERING })}</p>}
    </Drop>
  );
}

/** Enter begins a line; with Ctrl or Cmd it runs. */
function runOnEnter(event) {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) event.target.form.requestSubmit();
}

/** A file that was dropped on the form goes where its kind fits. */
async function place(file, names) {
  const kind = file.type.split('/')[0];
  const name =
    names.find((one) => KIND[one] === kind && !(one in draft.value.media)) ?? names.find((one) => KIND[one] === kind);
  if (!name) return announce(t('drop.unfit'));
  opened.value = [...opened.value, name];
  return add(name, file);
}

const uploads = signal({});
/** What was stored from here. The page may show nothing of strangers. */
const stored = new Set();

async function add(name, file) {
  const tell = (state) => (uploads.value = { ...uploads.value, [name]: state });
  tell({ file: file.name });
  try {
    const url = await upload(file);
    stored.add(url);
    setMedia(name, name === 'images' ? [...(draft.value.media.images ?? []), url] : url);
    announce(t('uploaded', { file: file.name }));
    tell(null);
  } catch (refusal) {
    tell({ refusal });
  }
}

function MediaField({ name }) {
  const id = useId();
  const value = draft.value.media[name];
  const addresses = name === 'images' ? (value ?? []) : value ? [value] : [];
  const state = uploads.value[name];
  const problem = problemOf(`input.${name}`);
  const type = (text) =>
    setMedia(name, name === 'images' ? text.split(/\s+/).filter(Boolean) : text.trim() || undefined);
  const remove = () => {
    setMedia(name, undefined);
    opened.value = opened.value.filter((one) => one !== name);
  };
  const onFiles = (event) => {
    [...event.target.files].forEach((file) => add(name, file));
    event.target.value = '';
  };
  return (
    <Drop onFile={(file) => add(name, file)}>
      <div class="media-field">
        <label for={id}>{t(`media.${name}`)}</label>
        <div class="row">
          {addresses
            .filter((url) => stored.has(url))
            .map((url) => (
              <Preview key={url} url={url} kind={KIND[name]} />
            ))}
          <input
            id={id}
            type="text"
            inputMode="url"
            placeholder={t('media.address')}
            value={addresses.join(' ')}
            aria-invalid={problem ? true : undefined}
            aria-describedby={`${id}-problem`}
            onChange={(event) => type(event.target.value)}
          />
          <label class="button quiet">
            <Icon name="file" size={16} /> {t('choose.file')}
            <input
              class="unseen"
              type="file"
              accept={`${KIND[name]}/*`}
              multiple={name === 'images'}
              aria-label={`${t('choose.file')}: ${t(`media.${name}`)}`}
              onChange={onFiles}
            />
          </label>
          <button
            type="button"
            class="bare"
            aria-label={t('remove.input', { name: t(`media.${name}`) })}
            onClick={remove}
          >
            <Icon name="close" size={16} />
          </button>
        </div>
        {state?.file && <p class="hint busy">{t('uploading', { file: state.file })}</p>}
        {state?.refusal && <Trouble error={state.refusal} compact />}
        <FieldError id={`${id}-problem`} problem={problem} />
      </div>
    </Drop>
  );
}

function Preview({ url, kind }) {
  if (kind === 'image') return <img class="preview" src={url} alt="" />;
  if (kind === 'video') return <video class="preview" src={url} muted preload="metadata" />;
  return <Icon name="AUDIO" />;
}

/** A place to drop files on; the innermost takes them. */
function Drop({ onFile, children }) {
  const [isOver, setOver] = useState(false);
  const over = (event) => {
    if (!event.dataTransfer.types.includes('Files')) return;
    event.preventDefault();
    event.stopPropagation();
    setOver(true);
  };
  const drop = (event) => {
    if (event.dataTransfer.files.length === 0) return;
    event.preventDefault();
    event.stopPropagation();
    setOver(false);
    [...event.dataTransfer.files].forEach(onFile);
  };
  return (
    <div class={isOver ? 'drop over' : 'drop'} onDragOver={over} onDragLeave={() => setOver(false)} onDrop={drop}>
      {children}
    </div>
  );
}
