// The cards of every type, and what they say about providers and models that cannot be used.
import { chooseType, connected, tell } from './page.mjs';

const usedKey = process.argv[2];

await tell(async (open) => {
  const page = await connected(open, { usedKey });
  const told = { cards: {} };
  const cards = page.getByRole('group', { name: 'Provider', exact: true }).getByRole('radio');
  for (const [name, type] of [
    ['Video', 'VIDEO'],
    ['Image', 'IMAGE'],
    ['Speech', 'AUDIO'],
    ['Avatar', 'AVATAR'],
  ]) {
    await chooseType(page, name);
    await cards.nth(1).waitFor();
    told.cards[type] = (await cards.count()) - 1;
  }
  await chooseType(page, 'Video');
  const runway = page.locator('.provider-card', { hasText: 'Runway' });
  told.card = await runway.innerText();
  await runway.click();
  await page.getByRole('group', { name: 'Models of Runway' }).waitFor();
  told.waits = await page.locator('.chosen .notice').innerText();
  told.retired = await page.getByText(/^Retired: runs on /).count();
  return told;
});
