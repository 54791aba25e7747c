// How much the page transfers until it can be used, and when it first paints; over several visits of new browsers.
import { connected, tell } from './page.mjs';

const VISITS = 5;

await tell(async (open) => {
  const told = { bytes: [], firstPaint: [] };
  for (let visit = 0; visit < VISITS; visit += 1) {
    const page = await connected(open);
    await page.locator('.provider-card').nth(5).waitFor();
    const measured = await page.evaluate(() => ({
      bytes: [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
        .map(({ transferSize }) => transferSize)
        .reduce((a, b) => a + b),
      firstPaint: Math.round(performance.getEntriesByName('first-contentful-paint')[0].startTime),
    }));
    told.bytes.push(measured.bytes);
    told.firstPaint.push(measured.firstPaint);
    if (visit === 0) {
      await page.reload();
      // An answer that nothing has changed is a head without a body.
      told.again = await page.evaluate(() =>
        performance
          .getEntriesByType('resource')
          .filter(({ name }) => /console\.(js|css)$/.test(name))
          .map(({ transferSize }) => transferSize),
      );
    }
    await page.context().close();
  }
  return told;
});
