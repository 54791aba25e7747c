// Opens GraphiQL in Chromium, enters the key, runs a query and watches a generation; tells what was loaded from elsewhere.
import puppeteer from 'puppeteer-core';

const [url, watched] = process.argv.slice(2);
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--no-proxy-server'],
});
const page = await browser.newPage();
const troubles = [];
page.on('request', (request) => {
  const asked = new URL(request.url());
  if (asked.protocol !== 'data:' && asked.origin !== new URL(url).origin) troubles.push(`asked for ${asked}`);
});
page.on('console', (message) => message.type() === 'error' && troubles.push(message.text()));
page.on('pageerror', (error) => troubles.push(`${error}`));

async function run(query, until) {
  const link = new URL(url);
  await page.goto(link);
  await page.evaluate((text) => {
    const editor = document.querySelector('.graphiql-query-editor .CodeMirror').CodeMirror;
    editor.setValue(text);
  }, query);
  await page.click('.graphiql-execute-button');
  await page.waitForFunction(
    (until) => document.querySelector('.result-window .CodeMirror')?.CodeMirror.getValue().includes(until),
    { timeout: 60_000 },
    until,
  );
  return page.evaluate(() => JSON.parse(document.querySelector('.result-window .CodeMirror').CodeMirror.getValue()));
}

await page.goto(url);
await page.waitForSelector('#key');
await page.type('#key', process.env.DOITONG_API_KEY);
await page.keyboard.press('Enter');
await page.waitForSelector('.graphiql-query-editor .CodeMirror');
const query = await run('{ account { mode } }', 'mode');
const watch = `subscription { generationUpdated(id: "${watched}") { status } }`;
const subscription = await run(watch, 'COMPLETED');
await page.click('.graphiql-sidebar button');
await page.waitForFunction(() => document.body.innerText.includes('Root Types'), { timeout: 60_000 });
console.log(JSON.stringify({ query, subscription, troubles }));
await browser.close();
