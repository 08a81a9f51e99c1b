const longest = 100;

/** Hostile text for a message: at most 100 characters, printable ASCII only (others become `?`), in quotes. */
export function quoted(text: string): string {
  const start = text.slice(0, longest).replaceAll(/[^\x20-\x7e]/g, '?');
  return JSON.stringify(text.length > longest ? `${start}...` : start);
}
