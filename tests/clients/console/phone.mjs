// On a phone, where what runs is far below the form: it comes into sight, and so does an error.
import { connected, generate, tell, until } from './page.mjs';

const inSight = (selector) => {
  const place = document.querySelector(selector)?.getBoundingClientRect();
  return place && place.top >= 0 && place.bottom <= document.querySelector('.run-bar').getBoundingClientRect().top;
};

await tell(async (open) => {
  const page = await connected(open, { viewport: { width: 360, height: 740 }, reducedMotion: 'reduce' });
  await generate(page, 'Image', 'A heron [[slow]]');
  await until(page, inSight, '.stub.newest');
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.locator('.stub').getByText('Cancelled').waitFor();

  await page.getByText('Delivery and limits').click();
  await page.getByLabel('Credit limit').fill('1');
  await page.locator('.run-bar').getByRole('button', { name: 'Over your credit limit' }).click();
  await until(page, inSight, '.ticket .trouble');
  return { whatToDo: await page.locator('.ticket .what-to-do').innerText() };
});
