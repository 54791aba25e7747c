// The form's request as a program: curl, JavaScript, Python. The key is read from the environment, never written out.
import { address } from '../api.js';

const FIELDS = 'id status creditCost estimatedTime url errorMessage';
const MUTATION = `mutation Generate($input: GenerateInput!) { generate(input: $input) { ${FIELDS} } }`;
const QUERY = `query Watch($id: ID!) { generation(id: $id) { ${FIELDS} } }`;

export const SNIPPETS = { curl, JavaScript: javascript, Python: python };

const endpoint = () => address('graphql').href;

function curl(input, idempotencyKey) {
  const body = JSON.stringify({ query: MUTATION, variables: { input } }, null, 2);
  return `curl -sS ${endpoint()} \\
  -H "Authorization: Bearer $DOITONG_API_KEY" \\
  -H "Content-Type: application/json" \\
  -H "Idempotency-Key: ${idempotencyKey}" \\
  -d '${body.replaceAll("'", "'\\''")}'`;
}

function javascript(input, idempotencyKey) {
  return `// Node 18 or later: node generate.mjs
const call = async (query, variables, headers = {}) => {
  const response = await fetch('${endpoint()}', {
    method: 'POST',
    headers: {
      authorization: \`Bearer \${process.env.DOITONG_API_KEY}\`,
      'content-type': 'application/json',
      ...headers,
    },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await response.json();
  if (errors) throw new Error(\`\${errors[0].extensions.code}: \${errors[0].message}\`);
  return data;
};

const input = ${JSON.stringify(input, null, 2)};
let { generate: generation } = await call(
  '${MUTATION}',
  { input },
  { 'idempotency-key': '${idempotencyKey}' },
);

const { id } = generation;
while (['PENDING', 'PROCESSING'].includes(generation.status)) {
  await new Promise((resolve) => setTimeout(resolve, 2000));
  ({ generation } = await call(
    '${QUERY}',
    { id },
  ));
}
console.log(generation.url ?? generation.errorMessage ?? generation.status);
`;
}

function python(input, idempotencyKey) {
  return `import json
import os
import time
import urllib.request


def call(query, variables, headers={}):
    request = urllib.request.Request(
        "${endpoint()}",
        data=json.dumps({"query": query, "variables": variables}).encode(),
        headers={
            "Authorization": f"Bearer {os.environ['DOITONG_API_KEY']}",
            "Content-Type": "application/json",
            **headers,
        },
    )
    with urllib.request.urlopen(request) as response:
        answer = json.load(response)
    if answer.get("errors"):
        error = answer["errors"][0]
        raise SystemExit(f"{error['extensions']['code']}: {error['message']}")
    return answer["data"]


generation = call(
    "${MUTATION}",
    {"input": ${literal(input, '    ')}},
    {"Idempotency-Key": "${idempotencyKey}"},
)["generate"]

id = generation["id"]
while generation["status"] in ("PENDING", "PROCESSING"):
    time.sleep(2)
    generation = call(
        "${QUERY}",
        {"id": id},
    )["generation"]
print(generation["url"] or generation["errorMessage"] or generation["status"])
`;
}

/** A value as Python writes it. JSON's strings and numbers are Python's too. */
function literal(value, indent = '') {
  const deeper = `${indent}    `;
  if (value === null) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (Array.isArray(value)) return `[${value.map((one) => literal(one, indent)).join(', ')}]`;
  if (typeof value !== 'object') return JSON.stringify(value);
  const members = Object.entries(value).map(
    ([name, one]) => `${deeper}${JSON.stringify(name)}: ${literal(one, deeper)},`,
  );
  return members.length > 0 ? `{\n${members.join('\n')}\n${indent}}` : '{}';
}
