// A generation as a small picture.
import { Icon } from './icons.jsx';

export function Thumb({ generation: { type, status, assets } }) {
  const kind = assets[0]?.contentType.split('/')[0];
  return (
    <span class={`thumb ${type.toLowerCase()} ${status.toLowerCase()}`}>
      {kind === 'image' && <img src={assets[0].url} alt="" loading="lazy" />}
      {kind === 'video' && (
        <video src={`${assets[0].url}#t=0.1`} muted playsInline preload="metadata" tabIndex={-1} aria-hidden="true" />
      )}
      {kind !== 'image' && <Icon name={status === 'FAILED' ? 'warn' : type} size={kind === 'video' ? 18 : 40} />}
    </span>
  );
}
