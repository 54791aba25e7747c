// The main states, looked at by axe in light and dark, and for whether they fit the width; also of a phone.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chooseType, connect, generate, newest, tell, view } from './page.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const [, , hook] = process.argv;
const LOOKS = {
  light: { colorScheme: 'light' },
  dark: { colorScheme: 'dark' },
  phone: { colorScheme: 'light', viewport: { width: 360, height: 740 } },
};

await tell(async (open) => {
  const found = { seen: 0, findings: [], wide: [] };
  for (const [name, settings] of Object.entries(LOOKS)) {
    const page = await open({ ...settings, reducedMotion: 'reduce', bypassCSP: true });
    await page.evaluate(axe);
    await goThrough(page, (state) => look(page, `${name}, ${state}`, found));
  }
  return found;
});

async function look(page, state, found) {
  found.seen += 1;
  const { violations } = await page.evaluate(() => window.axe.run());
  for (const { id, impact, nodes } of violations) {
    if (['serious', 'critical'].includes(impact))
      found.findings.push(`${state}: ${id} ${nodes.map(({ html }) => html)}`);
  }
  const [needed, given] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  if (needed > given) found.wide.push(`${state}: ${needed} of ${given}`);
}

async function goThrough(page, look) {
  await page.getByText('No key yet?').click();
  await look('no key');
  await connect(page);

  await page.locator('.provider-card').nth(5).waitFor();
  await look('an empty form');
  for (const name of ['Gallery', 'Webhooks', 'Usage']) {
    await view(page, name);
    await page.waitForLoadState('networkidle');
    await look(`${name} at first`);
  }
  await view(page, 'Create');
  await chooseType(page, 'Video');
  await page.getByRole('radio', { name: 'Kling AI' }).check();
  await page.getByRole('radio', { name: '1080p', exact: true }).check();
  await page.getByRole('radio', { name: 'std', exact: true }).check();
  await page.getByText('More options').click();
  await page.getByText('Delivery and limits').click();
  await page.getByLabel('Webhook URL').fill(hook);
  await page.getByRole('button', { name: 'Last picture' }).click();
  await page.getByRole('textbox', { name: 'What should the clip show?' }).fill('A river boat at dawn');
  await page.getByText('Served differently').waitFor();
  await look('a form with a quote that differs');
  await page.getByRole('button', { name: 'Copy as code' }).click();
  await look('code');
  await page.keyboard.press('Escape');

  await generate(page, 'Speech', 'The ferry leaves in ten minutes.');
  await (await newest(page, 'The ferry leaves in ten minutes.', 'Completed')).locator('[data-drawn="true"]').waitFor();
  await generate(page, 'Image', 'A heron [[reject]]');
  await newest(page, 'A heron [[reject]]', 'Failed');
  await look('runs, with an error');
  const long = `A heron [[slow]] ${'in the reeds, with mist over the lake '.repeat(20)}`.trim();
  await generate(page, 'Image', long);
  const slow = await newest(page, long, 'In progress');
  await look('a run under way');
  await slow.getByRole('link').click();
  await page.getByRole('button', { name: 'Show all' }).click();
  await look('one generation under way, with a long prompt');
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.getByText('Nothing was charged').waitFor();
  await view(page, 'Create');
  await generate(page, 'Image', 'A heron');
  await newest(page, 'A heron', 'Completed');

  await view(page, 'Gallery');
  await page.getByRole('link', { name: 'The ferry leaves' }).waitFor();
  await look('gallery');
  await page.getByRole('link', { name: 'A heron Completed' }).click();
  await page.getByRole('heading', { name: 'A heron' }).waitFor();
  await look('one generation');
  await page.getByRole('main').getByRole('link', { name: 'Gallery' }).click();
  await page.getByRole('link', { name: 'A heron [[reject]] Failed' }).click();
  await page.getByRole('alert').waitFor();
  await look('one that failed');
  await view(page, 'Usage');
  await page.getByText('Show as a table').click();
  await look('usage');
  await view(page, 'Webhooks');
  await page.getByRole('row').nth(1).waitFor();
  await page.getByRole('button', { name: 'Create a new secret' }).click();
  await look('webhooks, with a dialog');
}
