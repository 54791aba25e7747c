// The console as a person uses it: by what is read on it.
import { launch, TIMEOUT } from '../browser.mjs';

export const key = process.env.DOITONG_API_KEY;
export const address = process.env.DOITONG_URL.replace(/graphql$/, '');

/** Runs a story and prints what it tells, with the troubles there were but for those that it is about. */
export async function tell(story, { about } = {}) {
  const { browser, open, troubles } = await launch();
  const told = await story((settings) => open(address, settings), browser);
  console.log(JSON.stringify({ ...told, troubles: troubles.filter((one) => !about?.test(one)) }));
  await browser.close();
}

export async function connect(page, usedKey = key) {
  await page.getByLabel(/^(API key|Kunci API)$/).fill(usedKey);
  await page.keyboard.press('Enter');
}

/** Opens a page with the key in it. */
export async function connected(open, { usedKey, ...settings } = {}) {
  const page = await open(settings);
  await connect(page, usedKey);
  await page.getByRole('navigation', { name: 'Views' }).waitFor();
  return page;
}

export const view = (page, name) => page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name }).click();

export const chooseType = (page, type) =>
  page.getByRole('group', { name: 'Type' }).getByRole('radio', { name: type }).check();

/** Chooses a type, says what to make, and runs it when its price is there. */
export async function generate(page, type, text) {
  await chooseType(page, type);
  await page.getByRole('textbox', { name: /^What should / }).fill(text);
  await page.locator('.ticket[aria-busy="false"] .lines').waitFor();
  const price = Number(await page.locator('.ticket .figure').innerText());
  await page.getByRole('button', { name: 'Generate' }).filter({ visible: true }).click();
  return price;
}

/** The newest run with these words, once it shows this status. */
export async function newest(page, text, status) {
  const run = page.locator('.stub.newest', { has: page.getByRole('link', { name: text, exact: true }) });
  await run.getByText(status, { exact: true }).waitFor();
  return run;
}

/** Waits until something holds on the page. */
export const until = (page, what, argument) => page.waitForFunction(what, argument, { timeout: TIMEOUT });
