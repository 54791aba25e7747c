// What goes wrong: a cancelled run, a refused prompt, too few credits, a wrong key.
import { connect, connected, generate, newest, tell, view } from './page.mjs';

const poor = process.argv[2];
const read = async (place) => {
  const alert = place.getByRole('alert');
  return {
    title: await alert.locator('strong').innerText(),
    codes: await alert.locator('.codes code').allInnerTexts(),
    whatToDo: await alert.locator('.what-to-do').innerText(),
  };
};

await tell(
  async (open) => {
    const page = await connected(open);
    const told = {};

    await generate(page, 'Image', 'A heron [[slow]]');
    const slow = await newest(page, 'A heron [[slow]]', 'In progress');
    await slow.getByRole('progressbar').waitFor();
    await slow.getByRole('button', { name: 'Cancel' }).click();
    await newest(page, 'A heron [[slow]]', 'Cancelled');

    await generate(page, 'Image', 'A heron [[reject]]');
    told.rejected = await read(await newest(page, 'A heron [[reject]]', 'Failed'));

    await page.getByText('Delivery and limits').click();
    await page.getByLabel('Credit limit').fill('1');
    await page.locator('.ticket').getByRole('alert').waitFor();
    told.limited = await read(page.locator('.ticket'));
    await page.getByLabel('Credit limit').fill('');
    await page.locator('.ticket').getByRole('alert').waitFor({ state: 'detached' });

    await page.getByLabel('Webhook URL').fill('ftp://example.com');
    await page.locator('.field-error:not([hidden])').waitFor();
    told.field = await page.getByLabel('Webhook URL').getAttribute('aria-invalid');
    await page.getByLabel('Webhook URL').fill('');

    await page.getByRole('button', { name: 'Forget the key' }).click();
    await connect(page, poor);
    await generate(page, 'Video', 'A river boat at dawn');
    await page.locator('.ticket').getByRole('alert').waitFor();
    told.poor = await read(page.locator('.ticket'));
    await view(page, 'Gallery');
    await page.getByText('Nothing here yet. What you make shows up here.').waitFor();

    await page.getByRole('button', { name: 'Forget the key' }).click();
    await connect(page, 'dt_test_wrong');
    await page.getByRole('alert').waitFor();
    told.wrong = await read(page.locator('form'));
    return told;
  },
  { about: /status of 401/ },
);
