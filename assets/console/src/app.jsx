// The frame: heading, views, and what a screen reader hears.
import { useEffect, useRef } from 'preact/hooks';
import { account, refreshAccount } from './account.js';
import { announcement } from './announce.js';
import { address } from './api.js';
import { loadProviderNames } from './catalogue.js';
import { clear } from './create/draft.js';
import { resume } from './generations.js';
import { LANGUAGES, language, number, setLanguage, t } from './i18n.js';
import { forgetKey, key } from './key.js';
import { Icon, Mark } from './parts/icons.jsx';
import { go, route } from './route.js';
import { switchTheme } from './theme.js';
import { Connect } from './views/connect.jsx';
import { Create } from './views/create.jsx';
import { Gallery } from './views/gallery.jsx';
import { GenerationView } from './views/generation.jsx';
import { Usage } from './views/usage.jsx';
import { Webhooks } from './views/webhooks.jsx';

const VIEWS = { create: Create, gallery: Gallery, usage: Usage, webhooks: Webhooks };

export function App() {
  const { view, argument } = route.value;
  const main = useRef(null);
  useTitle(view);
  useEffect(() => {
    if (!key.value) return;
    refreshAccount();
    // What cannot be read now is told by the view that needs it.
    Promise.allSettled([resume(), loadProviderNames()]);
  }, [key.value]);
  // A view that is left takes the focus with it, unless it was in the heading. The first one had none.
  const isFirst = useRef(true);
  useEffect(() => {
    if (!isFirst.current && document.activeElement === document.body) main.current.focus({ preventScroll: true });
    isFirst.current = false;
  }, [view, argument, key.value]);
  const skip = (event) => {
    event.preventDefault();
    main.current.focus();
  };
  const View = VIEWS[view] ?? Create;
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        {t('skip')}
      </a>
      <Header />
      <main id="main" ref={main} tabIndex={-1}>
        {!key.value && <Connect />}
        {key.value && (view === 'generation' ? <GenerationView id={argument} /> : <View />)}
      </main>
      <p class="unseen" role="status">
        {announcement.value}
      </p>
    </>
  );
}

function useTitle(view) {
  const name = view === 'generation' ? 'gallery' : view in VIEWS ? view : 'create';
  document.title = `${t(key.value ? name : 'connect')} · Doitong`;
}

function Header() {
  return (
    <header class="top">
      <a class="brand" href="#/create" aria-label={t('home')}>
        <Mark /> <span>Doitong</span>
      </a>
      {key.value && <Navigation />}
      <div class="tools">
        {key.value && account.value && <Purse />}
        <a class="tool text" href={address('graphql').pathname} aria-label={t('graphiql')}>
          GraphiQL
        </a>
        <label class="language">
          <span class="unseen">{t('language')}</span>
          <span class="short" aria-hidden="true">
            {language.value.toUpperCase()}
          </span>
          <select value={language.value} onChange={(event) => setLanguage(event.target.value)}>
            {Object.entries(LANGUAGES).map(([tag, name]) => (
              <option key={tag} value={tag} lang={tag}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <button type="button" class="tool" aria-label={t('theme')} title={t('theme')} onClick={switchTheme}>
          <Icon name="light" />
        </button>
        {key.value && (
          <button type="button" class="tool" aria-label={t('leave')} title={t('leave')} onClick={leave}>
            <Icon name="leave" />
          </button>
        )}
      </div>
    </header>
  );
}

/** Leaves nothing to whoever comes next. */
function leave() {
  forgetKey();
  clear();
  go('create');
}

function Navigation() {
  const { view } = route.value;
  return (
    <nav aria-label={t('views')}>
      {Object.keys(VIEWS).map((name) => (
        <a key={name} href={`#/${name}`} aria-current={currentOf(name, view)}>
          <Icon name={name} size={18} /> {t(name)}
        </a>
      ))}
    </nav>
  );
}

/** One generation belongs to the gallery. */
function currentOf(name, view) {
  if (name === view) return 'page';
  return name === 'gallery' && view === 'generation' ? 'true' : undefined;
}

function Purse() {
  const { credits, mode } = account.value;
  return (
    <a class="purse-pill" href="#/usage">
      {mode === 'test' && <span class="badge">{t('mode.test')}</span>}
      <b>{number(credits.available)}</b> <span>{t('credits.short')}</span>
    </a>
  );
}
