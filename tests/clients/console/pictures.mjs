// Takes the pictures of docs/images/ from a gateway with a fresh account, as WebP:
// DOITONG_URL=http://127.0.0.1:8080/graphql DOITONG_API_KEY=dt_test_… node console/pictures.mjs ../../docs/images
import { writeFileSync } from 'node:fs';
import { launch } from '../browser.mjs';
import { address, chooseType, connected, generate, newest, view } from './page.mjs';

const folder = process.argv[2];
const { browser, open } = await launch();
const DESK = { viewport: { width: 1360, height: 850 }, reducedMotion: 'reduce' };
const PHONE = { viewport: { width: 360, height: 720 }, deviceScaleFactor: 2, reducedMotion: 'reduce' };
const start = (settings) => connected((given) => open(address, given), settings);

async function take(page, name) {
  await page.evaluate(() => document.activeElement.blur());
  const devtools = await page.context().newCDPSession(page);
  const { data } = await devtools.send('Page.captureScreenshot', { format: 'webp', quality: 82 });
  writeFileSync(`${folder}/console-${name}.webp`, Buffer.from(data, 'base64'));
}

const MADE = [
  ['Image', 'A lighthouse above the rainforest, morning mist'],
  ['Avatar', 'Welcome! Let me show you around in two minutes.'],
  ['Video', 'A river boat at dawn, mist over the water'],
  ['Image', 'Night market in the rain, neon reflections'],
  ['Speech', 'Good morning. The ferry to the island leaves in ten minutes.'],
  ['Video', 'Rice terraces from above, clouds drifting'],
];

const desk = await start({ ...DESK, colorScheme: 'light' });
for (const [type, text] of MADE) {
  await generate(desk, type, text);
  await newest(desk, text, 'Completed');
}
await chooseType(desk, 'Image');
await generate(desk, 'Image', 'A hornbill on a branch, soft light');
const image = await newest(desk, 'A hornbill on a branch, soft light', 'Completed');
await image.getByRole('img').waitFor();
await take(desk, 'create');

await chooseType(desk, 'Video');
await desk.getByRole('radio', { name: 'Kling AI' }).check();
await desk.getByRole('radio', { name: '1080p', exact: true }).check();
await desk.getByRole('radio', { name: 'std', exact: true }).check();
await desk.getByText('Served differently').waitFor();
await generate(desk, 'Video', 'A hornbill flies over the canopy at sunrise [[slow]]');
await desk.getByText(/^[2-9]\d %$/).waitFor();
await desk.getByRole('heading', { name: 'Options' }).evaluate((title) => scrollTo(0, title.offsetTop - 520));
await take(desk, 'quote');

await view(desk, 'Gallery');
await desk.getByRole('link', { name: 'A river boat' }).waitFor();
await desk.waitForLoadState('networkidle');
await take(desk, 'gallery');
await desk.emulateMedia({ colorScheme: 'dark' });
await desk.getByRole('link', { name: 'Night market' }).click();
await desk.getByRole('region', { name: /^Picture/ }).waitFor();
await desk.waitForLoadState('networkidle');
await take(desk, 'result-dark');
await view(desk, 'Usage');
await desk.getByText('Credits by provider').first().waitFor();
await desk.waitForLoadState('networkidle');
await take(desk, 'usage-dark');

const phone = await start({ ...PHONE, colorScheme: 'light' });
await generate(phone, 'Speech', 'Selamat pagi. Feri ke pulau akan bertolak dalam sepuluh minit lagi.');
const speech = await newest(phone, 'Selamat pagi. Feri ke pulau akan bertolak dalam sepuluh minit lagi.', 'Completed');
await speech.locator('[data-drawn="true"]').waitFor();
await phone.getByRole('combobox', { name: 'Language' }).selectOption('Bahasa Melayu');
await phone.locator('.ticket').evaluate((ticket) => scrollTo(0, ticket.offsetTop + 130));
await take(phone, 'phone-malay');
await browser.close();
