// Reads [{secret, headers, body}, …] from standard input and prints for each what the stock verifier says of it.
import { readFileSync } from "node:fs";
import { Webhook } from "standardwebhooks";

const verdicts = JSON.parse(readFileSync(0, "utf8")).map(({ secret, headers, body }) => {
  try {
    return new Webhook(secret).verify(body, headers) ? "ok" : "nothing";
  } catch (error) {
    return error.message;
  }
});
console.log(JSON.stringify(verdicts));
