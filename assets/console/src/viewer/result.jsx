// The result of a generation, shown by what its file is; several files can be gone through.
import { useState } from 'preact/hooks';
import { providerName } from '../catalogue.js';
import { requestOf } from '../generations.js';
import { t } from '../i18n.js';
import { Picture } from './picture.jsx';
import { Sound } from './sound.jsx';

/** What a result shows, in words: its prompt where that is known. */
export function describe({ id, type, provider }) {
  const text = requestOf(id)?.input.text;
  return text ?? t('result.of', { type: t(`type.${type}`), provider: providerName(provider) });
}

export function Result({ generation }) {
  const [chosen, setChosen] = useState(0);
  const { assets } = generation;
  const asset = assets[chosen] ?? assets[0];
  if (!asset) return null;
  return (
    <div class="result">
      <File key={asset.url} asset={asset} words={describe(generation)} />
      {assets.length > 1 && (
        <div class="strip" role="group" aria-label={t('files')}>
          {assets.map((one, n) => (
            <button
              key={one.url}
              type="button"
              aria-label={t('file.n', { n: n + 1 })}
              aria-pressed={n === chosen}
              onClick={() => setChosen(n)}
            >
              {one.contentType.startsWith('image/') ? <img src={one.url} alt="" loading="lazy" /> : n + 1}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}

function File({ asset, words }) {
  const [kind] = asset.contentType.split('/');
  if (kind === 'image') return <Picture asset={asset} alt={words} />;
  if (kind === 'audio') return <Sound asset={asset} label={words} />;
  return <video class="clip" src={asset.url} controls loop playsInline preload="metadata" aria-label={words} />;
}
