// The controls that are made from the catalogue's options, and what they put into the request.
import { chooseType, connected, tell } from './page.mjs';

await tell(async (open) => {
  const page = await connected(open);
  const input = async () => {
    await page.getByRole('button', { name: 'Copy as code' }).click();
    const code = await page.getByRole('dialog').locator('pre').innerText();
    await page.keyboard.press('Escape');
    return JSON.parse(code.slice(code.indexOf("'{") + 1, -1)).variables.input;
  };

  await chooseType(page, 'Video');
  await page.getByRole('radio', { name: 'Kling AI' }).check();
  await page.getByRole('radio', { name: 'Kling 2.6 sound' }).check();
  await page.getByRole('textbox', { name: 'What should the clip show?' }).fill('A river boat');
  await page.getByRole('slider', { name: 'Duration' }).fill('10');
  await page.getByRole('group', { name: 'Resolution' }).getByRole('radio', { name: '1080p' }).check();
  await page.getByRole('textbox', { name: 'Negative prompt' }).fill('people');
  await page.getByText('More options').click();
  await page.getByRole('group', { name: 'Sound' }).getByRole('radio', { name: 'On' }).check();
  await page.getByText('Delivery and limits').click();
  await page.getByLabel('Credit limit').fill('5000');
  await page.getByLabel('Labels').fill('{"order": 7}');
  await page.getByLabel('Exactly as asked').check();
  await page.keyboard.press('Enter');
  const video = await input();

  await chooseType(page, 'Speech');
  await page.getByRole('radio', { name: 'ElevenLabs' }).check();
  await page.getByRole('combobox', { name: 'Voice' }).selectOption('rachel');
  const listed = (await input()).options.voice;
  await page.getByRole('combobox', { name: 'Voice' }).selectOption('Other …');
  await page.getByRole('textbox', { name: 'Voice' }).fill('21m00Tcm4TlvDq8ikWAM');
  await page.getByRole('spinbutton', { name: 'Speed' }).fill('1.1');
  const speech = await input();
  await page.getByRole('radio', { name: 'Let the gateway choose' }).check();
  await page.getByRole('radio', { name: 'Price', exact: true }).check();
  const runs = await page.locator('.stub').count();
  return { runs, video, listed, speech, cheapest: await input() };
});
