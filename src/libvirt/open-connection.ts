import { connect, type Socket } from 'node:net';
import { makeConnection, type Connection, type ConnectionOptions } from './connection.ts';
import { LibvirtUnavailableError } from './errors.ts';
import type { KeepaliveOptions } from './keepalive.ts';
import { connectionProcedures } from './procedures/host.ts';
import { authNone, keepaliveFeature } from './protocol.ts';

/** What to open, and for how long to try. */
export interface OpenOptions extends ConnectionOptions {
  readonly socketPath: string;
  readonly uri: string;
  readonly connectTimeoutMs: number;
  /** Absent for a connection that serves a stream: what its reader leaves unread would hold the pongs up. */
  readonly keepalive: KeepaliveOptions | undefined;
}

/**
 * Connects, agrees on no authentication, arms keepalive and opens the driver. Errors: `LibvirtUnavailableError`, whose cause is the
 * socket's or libvirtd's error, or the end of the time; the signal's reason.
 */
export async function openConnection(options: OpenOptions, signal: AbortSignal): Promise<Connection> {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(options.connectTimeoutMs)]);
  let connection: Connection | undefined;
  try {
    connection = makeConnection(await connectSocket(options.socketPath, deadline), options);
    await shakeHands(connection, options, deadline);
    return connection;
  } catch (error) {
    connection?.end(new Error('it could not be opened'));
    signal.throwIfAborted();
    const detail = error instanceof Error ? error.message : String(error);
    throw new LibvirtUnavailableError(`cannot open ${options.uri} at ${options.socketPath}: ${detail}`, { cause: error });
  }
}

async function shakeHands(connection: Connection, options: OpenOptions, signal: AbortSignal): Promise<void> {
  const patience = { timeoutMs: options.connectTimeoutMs, signal };
  const ways = await connection.call(connectionProcedures.authList, [], patience);
  if (ways.length > 0 && !ways.includes(authNone)) {
    throw new Error(
      'libvirtd asks for authentication, which this client has none of: run as root, or set auth_unix_rw = "none" in libvirtd.conf',
    );
  }
  if (options.keepalive !== undefined) {
    const supported = await connection.call(connectionProcedures.supportsFeature, [keepaliveFeature], patience);
    if (supported !== 0) connection.startKeepalive(options.keepalive);
  }
  await connection.call(connectionProcedures.open, [options.uri, 0], patience);
}

function connectSocket(path: string, signal: AbortSignal): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = connect({ path });
  const giveUp = (error: unknown): void => {
    signal.removeEventListener('abort', onAbort);
    socket.destroy();
    reject(error);
  };
  const onAbort = (): void => giveUp(signal.reason);
  socket.once('error', giveUp);
  socket.once('connect', () => {
    signal.removeEventListener('abort', onAbort);
    socket.off('error', giveUp);
    resolve(socket);
  });
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  return promise;
}
