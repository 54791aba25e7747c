// Goes through pages of the gallery, and narrows it down.
import { connected, tell, until, view } from './page.mjs';

await tell(async (open) => {
  const page = await connected(open);
  await view(page, 'Gallery');
  const prints = (count) => until(page, (count) => document.querySelectorAll('.print').length === count, count);
  await prints(24);
  const told = { newer: await page.getByRole('button', { name: 'Newer' }).isDisabled() };
  await page.getByRole('button', { name: 'Older' }).click();
  await prints(3);
  told.older = await page.getByRole('button', { name: 'Older' }).isDisabled();
  told.page = await page.getByText('Page 2').count();
  await page.locator('.print').first().click();
  await page.getByRole('main').getByRole('link', { name: 'Gallery' }).click();
  await prints(3);
  told.cameBackTo = await page.getByText(/^Page \d$/).innerText();
  await page.getByRole('button', { name: 'Newer' }).click();
  await prints(24);
  await page.getByRole('combobox', { name: 'Status' }).selectOption('Cancelled');
  await prints(1);
  await page.getByRole('combobox', { name: 'Status' }).selectOption('All');
  await page.getByRole('combobox', { name: 'Provider' }).selectOption('OpenAI Speech');
  await prints(2);
  await page.getByRole('radio', { name: 'Avatar' }).check();
  await page.getByText('Nothing matches these filters.').waitFor();
  return told;
});
