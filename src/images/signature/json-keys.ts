/** Strings, and what gives a JSON text its structure; the rest is numbers, words and white space. */
const token = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]:,]/g;

/**
 * The first key that an object of this JSON text has twice: readers differ in which of the two they take, so a text that has one says nothing
 * certain. The text must be valid JSON (`JSON.parse` reads it). Linear in its length, and not recursive however deep it is.
 */
export function repeatedKey(json: string): string | undefined {
  const open: (Set<string> | undefined)[] = [];
  let last = '';
  for (const [text] of json.matchAll(token)) {
    if (text === '{') open.push(new Set());
    else if (text === '[') open.push(undefined);
    else if (text === '}' || text === ']') open.pop();
    else if (text === ':') {
      const key = JSON.parse(last) as string;
      const keys = open.at(-1);
      if (keys?.has(key)) return key;
      keys?.add(key);
    }
    last = text;
  }
  return undefined;
}
