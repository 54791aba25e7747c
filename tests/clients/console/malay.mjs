// A Malay browser gets Malay; another language and another theme are a choice away, and stay chosen.
import { connect, tell } from './page.mjs';

await tell(async (open) => {
  const page = await open({ locale: 'ms-MY' });
  const told = { title: await page.getByRole('heading', { level: 2 }).innerText() };
  told.language = await page.evaluate(() => document.documentElement.lang);
  await connect(page);
  told.card = await page.locator('.provider-card', { hasText: 'FLUX.1 dev' }).locator('small').innerText();
  await page
    .getByRole('textbox', { name: 'Apakah yang patut dipaparkan dalam imej?' })
    .fill('Seekor rubah merah [[reject]]');
  await page.locator('.ticket[aria-busy="false"] .lines').waitFor();
  told.price = await page.locator('.ticket .unit').innerText();
  await page.locator('.ticket').getByRole('button', { name: 'Jana' }).click();
  await page.locator('.stub').getByText('Gagal').waitFor();
  told.error = await page.locator('.stub .what-to-do').innerText();
  await page.getByRole('combobox', { name: 'Bahasa' }).selectOption('English');
  told.switched = await page.getByRole('heading', { level: 1 }).innerText();
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.getByRole('button', { name: 'Switch between light and dark' }).click();
  const dark = await ground();
  await page.reload();
  told.stays = await page.getByRole('heading', { level: 1 }).innerText();
  told.darkStays = dark !== light && (await ground()) === dark;
  return told;
});
