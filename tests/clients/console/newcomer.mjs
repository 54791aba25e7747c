// A newcomer pastes a key, makes an image, a video and speech, and sees and hears them.
import { connected, generate, newest, tell, until, view } from './page.mjs';

await tell(async (open, browser) => {
  const page = await connected(open);
  const told = { prices: [] };

  told.prices.push(await generate(page, 'Image', 'A red fox in the snow'));
  const image = (await newest(page, 'A red fox in the snow', 'Completed')).getByRole('img', {
    name: 'A red fox in the snow',
  });
  await until(page, (shown) => shown.naturalWidth > 0, await image.elementHandle());
  told.image = await image.evaluate((shown) => [shown.naturalWidth, shown.naturalHeight]);
  const width = () => image.evaluate((shown) => shown.getBoundingClientRect().width);
  const fitted = await width();
  await page.getByRole('button', { name: 'Larger' }).click();
  await page.getByRole('region', { name: /^Picture/ }).press('+');
  told.zoom = (await width()) > fitted;
  await page.keyboard.press('0');
  told.fits = (await width()) === fitted;

  told.prices.push(await generate(page, 'Video', 'A river boat at dawn'));
  const clip = (await newest(page, 'A river boat at dawn', 'Completed')).locator('video');
  await clip.evaluate((player) => player.play());
  await until(page, (player) => player.currentTime > 0.2 && player.videoWidth > 0, await clip.elementHandle());

  told.prices.push(await generate(page, 'Speech', 'The ferry leaves in ten minutes.'));
  const speech = await newest(page, 'The ferry leaves in ten minutes.', 'Completed');
  await speech.locator('svg[data-drawn="true"]').waitFor();
  told.bars = await speech.locator('svg[data-drawn] rect').count();
  await speech.getByRole('button', { name: 'Play' }).click();
  await until(page, (player) => player.currentTime > 0.2, await speech.locator('audio').elementHandle());
  await speech.getByRole('button', { name: 'Pause' }).click();
  await speech.getByRole('slider', { name: 'Position' }).fill('1');
  told.sought = await speech.locator('audio').evaluate((player) => player.currentTime);

  await view(page, 'Gallery');
  await until(page, () => document.querySelectorAll('.print').length === 3);
  told.gallery = await page.getByRole('list', { name: 'Gallery' }).getByRole('strong').allInnerTexts();
  await page.getByRole('radio', { name: 'Video' }).check();
  await until(page, () => document.querySelectorAll('.print').length === 1);
  told.videos = await page.getByRole('list', { name: 'Gallery' }).getByRole('strong').allInnerTexts();
  await page.getByRole('link', { name: 'A river boat at dawn' }).click();
  await page.getByRole('heading', { name: 'A river boat at dawn' }).waitFor();

  told.keyIsInTheAddress = page.url().includes('dt_');
  await page.reload();
  await page.getByRole('heading', { name: 'A river boat at dawn' }).waitFor();
  const another = await page.context().newPage();
  await another.goto(page.url());
  told.anotherTab = await another.getByRole('heading', { level: 2 }).innerText();
  told.keptOutside = await another.evaluate(() => JSON.stringify({ ...localStorage }) + document.cookie);
  return told;
});
