// A sound with its waveform, which is drawn from the samples and is also where one seeks.
import { useEffect, useRef, useState } from 'preact/hooks';
import { clock } from '../format.js';
import { t } from '../i18n.js';
import { Icon } from '../parts/icons.jsx';

const BARS = 120;

export function Sound({ asset, label }) {
  const player = useRef(null);
  const peaks = usePeaks(asset.url);
  const [{ at, length, plays }, setState] = useState({ at: 0, length: asset.duration ?? 0, plays: false });
  const read = () => {
    // Leaving the page pauses it, which is told when it is gone.
    if (!player.current) return;
    const { currentTime, duration, paused } = player.current;
    setState({ at: currentTime, length: Number.isFinite(duration) ? duration : length, plays: !paused });
  };
  const toggle = () => (plays ? player.current.pause() : player.current.play());
  const seek = (event) => {
    player.current.currentTime = Number(event.target.value);
    read();
  };
  return (
    <div class="sound" role="group" aria-label={label}>
      <audio
        ref={player}
        src={asset.url}
        preload="metadata"
        onTimeUpdate={read}
        onPlay={read}
        onPause={read}
        onLoadedMetadata={read}
      />
      <button type="button" class="play" aria-label={plays ? t('pause') : t('play')} onClick={toggle}>
        <Icon name={plays ? 'pause' : 'play'} size={22} />
      </button>
      <div class="wave">
        <Waveform peaks={peaks} played={length ? at / length : 0} />
        <input
          type="range"
          min="0"
          max={length || 1}
          step="0.01"
          value={at}
          aria-label={t('seek')}
          aria-valuetext={`${clock(at)} / ${clock(length)}`}
          onInput={seek}
        />
      </div>
      <span class="clock">
        {clock(at)} / {clock(length)}
      </span>
    </div>
  );
}

function Waveform({ peaks, played }) {
  return (
    <svg viewBox={`0 0 ${BARS * 4} 100`} preserveAspectRatio="none" aria-hidden="true" data-drawn={peaks.length > 0}>
      {peaks.map((peak, n) => {
        const height = Math.max(3, peak * 96);
        const isPlayed = n / BARS < played;
        return (
          <rect
            key={n}
            class={isPlayed ? 'played' : ''}
            x={n * 4}
            y={50 - height / 2}
            width="2.4"
            height={height}
            rx="1.2"
          />
        );
      })}
    </svg>
  );
}

/** The loudest sample of each of so many parts of a sound, of 1; none while it is read or when it cannot be. */
function usePeaks(url) {
  const [peaks, setPeaks] = useState([]);
  useEffect(() => {
    const stopped = new AbortController();
    setPeaks([]);
    readPeaks(url, stopped.signal).then(setPeaks, () => {});
    return () => stopped.abort();
  }, [url]);
  return peaks;
}

async function readPeaks(url, signal) {
  const response = await fetch(url, { signal });
  const bytes = await response.arrayBuffer();
  const sound = await new OfflineAudioContext(1, 1, 22_050).decodeAudioData(bytes);
  const samples = sound.getChannelData(0);
  const size = Math.max(1, Math.floor(samples.length / BARS));
  const peaks = Array.from({ length: BARS }, (_, n) => loudest(samples, n * size, size));
  const top = Math.max(...peaks, 0.001);
  return peaks.map((peak) => peak / top);
}

function loudest(samples, from, count) {
  let peak = 0;
  for (let n = from; n < from + count; n += 1) peak = Math.max(peak, Math.abs(samples[n] ?? 0));
  return peak;
}
