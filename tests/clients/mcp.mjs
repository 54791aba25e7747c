// Uses the agents' tools with the stock MCP client: over HTTP, given the URL of /mcp, or by starting the program given,
// with its arguments. Prints one line of JSON for each step.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const [target, ...args] = process.argv.slice(2);
const { DOITONG_API_KEY, DOITONG_GATEWAY } = process.env;

const transport = target.startsWith('http')
  ? new StreamableHTTPClientTransport(new URL(target), {
      requestInit: { headers: { authorization: `Bearer ${DOITONG_API_KEY}` } },
    })
  : new StdioClientTransport({ command: target, args, env: { DOITONG_API_KEY, DOITONG_URL: DOITONG_GATEWAY } });

const client = new Client({ name: 'test', version: '1' });
const say = (step, value) => console.log(JSON.stringify({ step, ...value }));
const call = async (name, args) => {
  const result = await client.callTool({ name, arguments: args });
  const text = result.content[0].text;
  return result.isError ? { refused: result.structuredContent.error, text } : { told: JSON.parse(text) };
};

try {
  await client.connect(transport);
} catch (error) {
  say('connect', { failed: error.code ?? `${error}` });
  process.exit(0);
}
say('server', { info: client.getServerVersion(), instructions: client.getInstructions() });

const { tools } = await client.listTools();
say('tools', { names: tools.map((tool) => tool.name), bytes: JSON.stringify(tools).length });

const picture = { type: 'IMAGE', provider: 'flux-dev', text: 'A fox', options: { n: 1 } };
say('all providers', await call('list_providers', {}));
say('providers', await call('list_providers', { type: 'IMAGE' }));
say('provider', await call('list_providers', { type: 'IMAGE', provider: 'flux-dev' }));
say('quote', await call('quote', picture));

const first = await call('generate', { ...picture, max_credits: 100 });
say('generate', first);
say('again', await call('generate', { max_credits: 100, ...picture }));
say('another', await call('generate', { ...picture, max_credits: 100, key: '2' }));

let ended = await call('wait', { id: first.told.id });
while (!ended.told.done) ended = await call('wait', { id: first.told.id, seconds: 20 });
say('wait', ended);
say('get', await call('get_generation', { id: first.told.id }));

const long = await call('generate', { ...picture, text: '[[hang]] A fox', max_credits: 100 });
const begun = Date.now();
say('short', { ...(await call('wait', { id: long.told.id, seconds: 2 })), took: Date.now() - begun });
say('cancel', await call('cancel', { id: long.told.id }));
say('cancelled', await call('cancel', { id: long.told.id }));

say('budget', await call('generate', { ...picture, max_credits: 1 }));
say('no budget', await call('generate', picture));
say('bad option', await call('generate', { ...picture, options: { duratoin: 3 }, max_credits: 100 }));
say('bad argument', await call('generate', { ...picture, prompt: 'x', max_credits: 100 }));
say('no generation', await call('get_generation', { id: 'gen_00000000000000000000000000000000' }));
try {
  say('no tool', await call('paint', {}));
} catch (error) {
  say('no tool', { failed: error.code });
}
await client.close();
