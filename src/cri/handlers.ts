import { invalid } from '../model/errors.ts';

/** The runtime handlers that are ours: the RuntimeClass's, and the default one. */
export const runtimeHandlers: readonly string[] = ['', 'vm'];

/** A handler of ours. Throws INVALID. */
export function requireHandler(field: string, handler: string): string {
  if (runtimeHandlers.includes(handler)) return handler;
  const accepted = runtimeHandlers.map((name) => JSON.stringify(name)).join(', ');
  throw invalid(field, `no runtime for ${JSON.stringify(handler)} is configured; accepted: ${accepted}`);
}
