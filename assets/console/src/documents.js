// The GraphQL documents that the console sends.

export const GENERATION = `
  id status type provider model progress url creditCost estimatedTime eta queuePosition labels
  assets { url contentType width height duration sizeBytes sha256 }
  metadata { width height duration resolution format fps sizeBytes contentType seed voice }
  error { code message reason retryable }
  adjustments { option requested used reason }
  attempts { provider model upstream outcome startedAt endedAt message }
  webhook { url attempts delivered lastStatus nextAttemptAt }
  createdAt startedAt completedAt`;

export const ACCOUNT = `{ account {
  name mode
  plan { name perMinute concurrent daily queued }
  usage { minuteRemaining minuteReset dailyUsed dailyRemaining running queued }
  credits { balance held available }
} }`;

export const SECRETS = `{ account { webhookSecrets { secret createdAt expiresAt } } }`;
export const ROTATE = `mutation { rotateWebhookSecret { createdAt } }`;
export const REDELIVER = `mutation Redeliver($id: ID!) { redeliverWebhook(generationId: $id) }`;

export const PROVIDER_NAMES = `{ providers { id name } }`;

export const PROVIDERS = `query Providers($type: GenerationType!) { providers(type: $type) {
  id name description features limitations available waitsFor
  pricing { creditCost estimatedTime }
  models {
    id name type status endsAt replacedBy available waitsFor quality features pricing { creditCost estimatedTime }
  }
  options { name type required description allowedValues default minimum maximum }
} }`;

export const QUOTE = `query Quote($input: GenerateInput!) { quote(input: $input) {
  provider model creditCost estimatedTime quality
  adjustments { option requested used reason }
  alternatives { provider model creditCost estimatedTime quality }
} }`;

export const GENERATE = `mutation Generate($input: GenerateInput!) { generate(input: $input) { ${GENERATION} } }`;
export const CANCEL = `mutation Cancel($id: ID!) { cancelGeneration(id: $id) }`;
export const ONE = `query Generation($id: ID!) { generation(id: $id) { ${GENERATION} } }`;
export const WATCH = `subscription Watch($id: ID!) { generationUpdated(id: $id) { ${GENERATION} } }`;

export const LIST = `query Generations(
  $first: Int, $after: String, $type: GenerationType, $status: GenerationStatus, $provider: String
) {
  generations(first: $first, after: $after, type: $type, status: $status, provider: $provider) {
    nodes { ${GENERATION} }
    pageInfo { hasNextPage endCursor }
  }
}`;

export const SPENT = `query Spent($after: String) { generations(first: 100, after: $after) {
  nodes { status type provider creditCost createdAt }
  pageInfo { hasNextPage endCursor }
} }`;
