// Opens GraphiQL in Chromium, enters the key, runs a query and watches a generation; tells what was loaded from elsewhere.
import { launch } from './browser.mjs';

const [url, watched] = process.argv.slice(2);
const { browser, open, troubles } = await launch();
const page = await open(url);

async function run(query, until) {
  await page.goto(url);
  await page.waitForSelector('.graphiql-query-editor .CodeMirror');
  await page.evaluate((text) => {
    document.querySelector('.graphiql-query-editor .CodeMirror').CodeMirror.setValue(text);
  }, query);
  await page.click('.graphiql-execute-button');
  await page.waitForFunction(
    (until) => document.querySelector('.result-window .CodeMirror')?.CodeMirror.getValue().includes(until),
    until,
  );
  return page.evaluate(() => JSON.parse(document.querySelector('.result-window .CodeMirror').CodeMirror.getValue()));
}

await page.fill('#key', process.env.DOITONG_API_KEY);
await page.keyboard.press('Enter');
const query = await run('{ account { mode } }', 'mode');
const watch = `subscription { generationUpdated(id: "${watched}") { status } }`;
const subscription = await run(watch, 'COMPLETED');
await page.click('.graphiql-sidebar button');
await page.getByText('Root Types').waitFor();
console.log(JSON.stringify({ query, subscription, troubles }));
await browser.close();
