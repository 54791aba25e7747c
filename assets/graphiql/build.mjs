// Bundles page.mjs with GraphiQL and React into dist/, with the licences of all that went in.
import { build } from 'esbuild';
import { readFileSync, writeFileSync } from 'node:fs';
import { writeLicences } from '../licences.mjs';

const { metafile } = await build({
  entryPoints: { graphiql: 'page.mjs' },
  outdir: 'dist',
  bundle: true,
  minify: true,
  metafile: true,
  format: 'esm',
  target: 'es2022',
  define: { 'process.env.NODE_ENV': '"production"' },
  legalComments: 'none',
});

// The fonts are most of the style sheet; those of the system do as well.
const css = readFileSync('dist/graphiql.css', 'utf8').replaceAll(/@font-face\{[^}]*\}/g, '');
writeFileSync('dist/graphiql.css', css);

writeLicences(metafile);
