// Sees a webhook delivered, has it sent again, and makes a new secret.
import { connected, generate, newest, tell, until, view } from './page.mjs';

const hook = process.argv[2];

await tell(async (open) => {
  const page = await connected(open);
  await page.getByText('Delivery and limits').click();
  await page.getByLabel('Webhook URL').fill(hook);
  await generate(page, 'Image', 'A red fox in the snow');
  await newest(page, 'A red fox in the snow', 'Completed');
  const cells = () => page.getByRole('row').nth(1).getByRole('cell').allInnerTexts();
  const delivered = async (times) => {
    await view(page, 'Gallery');
    await view(page, 'Webhooks');
    await page.getByRole('row').nth(1).waitFor();
    const [, state, tries] = await cells();
    return state === 'Delivered' && tries === String(times);
  };
  while (!(await delivered(1)));
  const told = { before: (await cells()).slice(0, 4) };
  await page.getByRole('button', { name: 'Send again' }).click();
  await until(page, () => document.querySelectorAll('tbody td')[2].innerText === '2');
  told.after = (await cells()).slice(0, 4);

  told.secrets = await page.locator('.secrets li').count();
  await page.getByRole('button', { name: 'Create a new secret' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Create a new secret' }).click();
  await page.getByText('signs until').waitFor();
  told.rotated = await page.locator('.secrets li').count();
  const [first] = await page.locator('.secrets code').allInnerTexts();
  await page.getByRole('button', { name: 'Show' }).first().click();
  told.masked = first.includes('•') && /^whsec_[\w+/=]+$/.test(await page.locator('.secrets code').first().innerText());
  return told;
});
