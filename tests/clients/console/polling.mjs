// Where websockets do not get through, the page asks again until the end.
import { connected, generate, newest, tell } from './page.mjs';

await tell(async (open) => {
  const page = await connected(open);
  let refused = 0;
  await page.routeWebSocket('**/graphql/ws', (socket) => {
    refused += 1;
    socket.close();
  });
  await generate(page, 'Image', 'A red fox in the snow');
  await newest(page, 'A red fox in the snow', 'Completed');
  return { wasRefused: refused > 0 };
});
