// Chromium as the tests of the pages use it: every request to another origin, every violation of the content security
// policy and every error on the console is noted as trouble.
import { chromium } from 'playwright-core';

export const TIMEOUT = 60_000;

/** A browser, with a function that opens a page of its own; `troubles` fills while pages are used. */
export async function launch() {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--no-proxy-server', '--autoplay-policy=no-user-gesture-required'],
  });
  const troubles = [];
  const open = async (url, settings = {}) => {
    const context = await browser.newContext({ locale: 'en-GB', ...settings });
    context.setDefaultTimeout(TIMEOUT);
    const page = await context.newPage();
    note(page, new URL(url).origin, troubles);
    await page.goto(url);
    return page;
  };
  return { browser, open, troubles };
}

function note(page, origin, troubles) {
  page.on('request', (request) => {
    const asked = new URL(request.url());
    if (!['data:', 'blob:'].includes(asked.protocol) && asked.origin !== origin) troubles.push(`asked for ${asked}`);
  });
  page.on('console', (message) => message.type() === 'error' && troubles.push(message.text()));
  page.on('pageerror', (error) => troubles.push(`${error}`));
}
