// Drops a picture on the form: it is stored, shown, and goes into the request.
import { connected, tell } from './page.mjs';

const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

await tell(async (open) => {
  const page = await connected(open);
  const dropped = await page.evaluateHandle((base64) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], 'dot.png', { type: 'image/png' }));
    return transfer;
  }, PNG);
  await page.locator('.prompt').dispatchEvent('drop', { dataTransfer: dropped });
  await page.locator('img.preview').waitFor();
  const url = await page.getByRole('textbox', { name: 'Picture', exact: true }).inputValue();
  const chosen = { name: 'dot.png', mimeType: 'image/png', buffer: Buffer.from(PNG, 'base64') };
  await page.getByRole('button', { name: 'Reference pictures' }).click();
  await page.getByLabel('Choose file: Reference pictures').setInputFiles([chosen, chosen]);
  await page.locator('img.preview').nth(2).waitFor();
  await page.getByRole('button', { name: 'Copy as code' }).click();
  const code = await page.getByRole('dialog').locator('pre').innerText();
  return { isInTheRequest: code.includes(url), images: code.split('/media/').length - 1 };
});
