// Reads [{secret, headers, body}, …] from standard input and prints for each whether the function of a document takes it.
import { readFileSync } from "node:fs";

const { verify } = await import(process.argv[2]);
const verdict = ({ secret, headers, body }) => {
  try {
    return Boolean(verify(secret, headers, body));
  } catch {
    return false;
  }
};
console.log(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(verdict)));
