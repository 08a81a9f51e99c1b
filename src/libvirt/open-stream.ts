import type { Duplex } from 'node:stream';
import { openConnection } from './open-connection.ts';
import type { CompiledOptions } from './options.ts';
import type { Procedure } from './procedures/procedure.ts';
import type { Session } from './session.ts';

/** A call that opens a stream, with its arguments. */
interface StreamCall<A extends readonly unknown[]> {
  readonly target: Procedure<A, void>;
  readonly args: A;
}

/** Opens a connection of its own for a stream, which also ends when `session` does. Errors: as `openConnection`, and libvirtd's. */
export async function openStream<A extends readonly unknown[]>(
  options: CompiledOptions,
  session: Session,
  { target, args }: StreamCall<A>,
  signal: AbortSignal = new AbortController().signal,
): Promise<Duplex> {
  const connection = await openConnection({ ...options, keepalive: undefined, onEvent: () => {} }, signal);
  session.adopt(connection);
  try {
    return await connection.openStream(target, args, { timeoutMs: options.callTimeoutMs, signal });
  } catch (error) {
    connection.end(new Error('its stream could not be opened'));
    throw error;
  }
}
