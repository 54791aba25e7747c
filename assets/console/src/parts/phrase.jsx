// What the catalogue says, in the language of the page where there are words for it.
import { phrase } from '../i18n.js';

export function Phrase({ of }) {
  const { text, lang } = phrase(of);
  return <span lang={lang}>{text}</span>;
}

/** Several, with a dot between them. */
export const Phrases = ({ of }) =>
  of.map((one, n) => (
    <>
      {n > 0 && ' · '}
      <Phrase of={one} />
    </>
  ));
