// From the key to the result without a mouse.
import { key, newest, tell } from './page.mjs';

await tell(async (open) => {
  const page = await open();
  const { keyboard } = page;
  const focused = () =>
    page.evaluate(() => document.activeElement.textContent.trim() || document.activeElement.tagName);
  await page.getByLabel('API key').waitFor();
  await keyboard.press('Tab');
  const told = { first: await focused() };
  await keyboard.press('Enter');
  told.skippedTo = await page.evaluate(() => document.activeElement.id);
  await keyboard.press('Tab');
  await keyboard.type(key);
  await keyboard.press('Enter');
  await page.getByRole('heading', { name: 'New request' }).waitFor();

  await keyboard.press('Tab');
  await keyboard.press('ArrowRight');
  await page.getByRole('textbox', { name: 'What should be said?' }).waitFor();
  await keyboard.press('Tab');
  await keyboard.type('The ferry leaves in ten minutes.');
  await page.locator('.ticket[aria-busy="false"] .lines').waitFor();
  await keyboard.press('Control+Enter');
  const run = await newest(page, 'The ferry leaves in ten minutes.', 'Completed');
  await run.getByRole('link').focus();
  await keyboard.press('Tab');
  told.player = await page.evaluate(() => document.activeElement.ariaLabel);
  await keyboard.press('Shift+Tab');
  await keyboard.press('Enter');
  await page.getByRole('heading', { name: 'The ferry leaves in ten minutes.' }).waitFor();
  told.announced = await page.locator('body > div > [role="status"]').innerText();
  told.focusAfterTheView = await page.evaluate(() => document.activeElement.id);
  return told;
});
