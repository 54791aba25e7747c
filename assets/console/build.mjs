// Bundles src/ with Preact and graphql-ws into dist/, with the licences of all that went in, and a hash of the sources by
// which a test sees that dist/ is of today.
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import en from './src/strings/en.js';
import ms from './src/strings/ms.js';

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

const inputs = Object.values(metafile.outputs).flatMap(({ inputs }) => Object.entries(inputs));
const used = inputs.filter(([, { bytesInOutput }]) => bytesInOutput > 0).map(([path]) => path);
const folders = used.map((path) => path.match(/^.*node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0]).filter(Boolean);
const licences = [...new Set(folders)].sort().map((folder) => {
  const { name, version, license } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'));
  const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name));
  const text = file ? readFileSync(`${folder}/${file}`, 'utf8').trim() : '';
  return `${name} ${version} (${license})\n\n${text}`.trim();
});
writeFileSync('dist/LICENSES.txt', `${licences.join(`\n\n${'-'.repeat(80)}\n\n`)}\n`);

const files = readdirSync('src', { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
const paths = files
  .map(({ parentPath, name }) => `${parentPath}/${name}`)
  .concat('package-lock.json')
  .sort();
const hash = createHash('sha256');
paths.forEach((path) => hash.update(readFileSync(path)));
writeFileSync('dist/sources.sha256', `${hash.digest('hex')}\n`);
