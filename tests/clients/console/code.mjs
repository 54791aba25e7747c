// Copies the form's request in every language, and runs what was copied.
import { execFileSync } from 'node:child_process';
import { connected, key, tell } from './page.mjs';

const RUN = { curl: ['bash'], JavaScript: ['node', '--input-type=module'], Python: ['python3'] };
const run = ([program, ...options], text) =>
  execFileSync(program, options, { input: text, encoding: 'utf8', env: { ...process.env, DOITONG_API_KEY: key } });

await tell(async (open) => {
  const page = await connected(open, { permissions: ['clipboard-read', 'clipboard-write'] });
  await page.getByRole('radio', { name: /^FLUX.1 dev/ }).check();
  await page.getByRole('textbox', { name: 'What should the picture show?' }).fill("It's a “fox”\nin the snow \\ 雪");
  await page.getByRole('combobox', { name: 'Aspect ratio' }).selectOption('1:1');
  await page.locator('.ticket[aria-busy="false"] .lines').waitFor();
  await page.getByRole('button', { name: 'Copy as code' }).click();
  const told = { ran: {}, holdsTheKey: false };
  for (const [name, command] of Object.entries(RUN)) {
    await page.getByRole('radio', { name }).check();
    await page.getByRole('button', { name: 'Copy', exact: true }).click();
    const text = await page.evaluate(() => navigator.clipboard.readText());
    told.holdsTheKey ||= text.includes(key);
    told.ran[name] = run(command, text).trim();
  }
  return told;
});
