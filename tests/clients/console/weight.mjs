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
      const again = await page.reload();
      told.pageStatus = again.status();
      told.cached = await page.evaluate(() =>
        performance
          .getEntriesByType('resource')
          .filter(({ name }) => name.includes('/console/assets/'))
          .every(({ transferSize, decodedBodySize }) => transferSize < 1_000 && decodedBodySize > 0),
      );
    }
    await page.context().close();
  }
  return told;
});
