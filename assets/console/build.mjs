// Bundles src/ with Preact and graphql-ws into dist/, with the licences of all that went in, and a hash of the sources by
// which a test sees that dist/ is of today.
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import en from './src/strings/en.js';
import ms from './src/strings/ms.js';
import { writeLicences } from '../licences.mjs';

// Malay has no forms for one, English names of its own for few options.
const optional = /\.one$|^option\./;
for (const [name, table, other] of [
  ['ms', ms, en],
  ['en', en, ms],
]) {
  const missing = Object.keys(other).filter((key) => !(key in table) && !optional.test(key));
  if (missing.length > 0) throw new Error(`${name}.js lacks ${missing}`);
}

const { metafile } = await build({
  entryPoints: { console: 'src/main.jsx' },
  outdir: 'dist',
  bundle: true,
  minify: true,
  metafile: true,
  format: 'esm',
  target: 'es2022',
  jsx: 'automatic',
  jsxImportSource: 'preact',
  legalComments: 'none',
});

writeLicences(metafile);

const files = readdirSync('src', { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
const paths = files
  .map(({ parentPath, name }) => `${parentPath}/${name}`)
  .concat('package-lock.json')
  .sort();
const hash = createHash('sha256');
paths.forEach((path) => hash.update(readFileSync(path)));
writeFileSync('dist/sources.sha256', `${hash.digest('hex')}\n`);
