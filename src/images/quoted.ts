const longest = 100;

/** Text of a stranger's as messages may show it: printable ASCII, at most 100 characters, in quotes. */
export function quoted(text: string): string {
  const printable = text.slice(0, longest + 1).replaceAll(/[^\x20-\x7e]/g, '?');
  return JSON.stringify(printable.length > longest ? `${printable.slice(0, longest - 3)}...` : printable);
}
