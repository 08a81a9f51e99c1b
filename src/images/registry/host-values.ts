/**
 * The base of a registry's API: https unless another protocol is written; `/v2` is appended to the path unless it ends so or `overridePath`
 * says that the path is complete. A text is what is wrong.
 */
export function parseHostUrl(text: string, overridePath: boolean): URL | string {
  const address = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`;
  if (/^[0-9]*$/.test(text) || !URL.canParse(address)) return 'is not the address of a registry';
  const url = new URL(address);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'must begin with https:// or http://';
  if (url.username !== '' || url.password !== '') return 'must hold no user or password: they come with the pull';
  if (url.search !== '' || url.hash !== '') return 'must hold no ? or #';
  const path = url.pathname.replace(/\/+$/, '');
  url.pathname = overridePath || path.endsWith('/v2') ? path : `${path}/v2`;
  return url;
}

const units: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Milliseconds of a duration as Go writes it (`1m30s`, `1.5s`); `undefined` for anything else, and outside of 1 ms to 1 h. */
export function parseGoDuration(text: string): number | undefined {
  if (text.length > 100 || !/^(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|ms|s|m|h))+$/.test(text)) return undefined;
  const parts = text.matchAll(/([0-9.]+)([a-zµ]+)/g).map(([, number, unit = '']) => Number(number) * (units[unit] ?? Number.NaN));
  const milliseconds = parts.reduce((sum, part) => sum + part, 0);
  return milliseconds >= 1 && milliseconds <= 3_600_000 ? Math.round(milliseconds) : undefined;
}

/** What the protocol itself says: a file must not say otherwise. */
const ours: ReadonlySet<string> = new Set([
  'accept',
  'accept-encoding',
  'connection',
  'content-length',
  'content-type',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'range',
  'transfer-encoding',
  'upgrade',
]);

/** Header fields with names in lower case; several values of one are joined. */
export function parseHeaders(
  table: Readonly<Record<string, string | readonly string[]>>,
): { readonly fields: Readonly<Record<string, string>> } | { readonly key: string; readonly problem: string } {
  const fields: Record<string, string> = {};
  for (const [key, values] of Object.entries(table)) {
    const name = key.toLowerCase();
    const value = [values].flat().join(', ');
    if (!/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name) || Object.hasOwn(fields, name))
      return { key, problem: 'is no name of a header field, or one given twice' };
    if (ours.has(name)) return { key, problem: 'is a field that vmlet sets itself' };
    if (!/^[\t\x20-\x7e]*$/.test(value)) return { key, problem: 'must be printable ASCII' };
    fields[name] = value;
  }
  return { fields };
}
