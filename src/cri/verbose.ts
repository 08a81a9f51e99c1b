/** The `info` of a verbose answer: one JSON text, as crictl shows it. Empty unless asked for. */
export function verboseInfo(verbose: boolean, info: () => object): Record<string, string> {
  if (!verbose) return {};
  const json = JSON.stringify(info(), (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
  return { info: json };
}
