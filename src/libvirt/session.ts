import type { Connection } from './connection.ts';
import type { LibvirtConnectionLostError } from './errors.ts';
import { eventLayouts, type DomainEvent, type DomainEventKind } from './events.ts';
import { openConnection, type OpenOptions } from './open-connection.ts';
import { eventProcedures } from './procedures/events.ts';
import { connectionProcedures } from './procedures/host.ts';

/** Time for libvirtd to answer to a goodbye, in milliseconds. */
const goodbyeTimeoutMs = 500;

/** Two connections that live and die together. */
export interface Session {
  readonly query: Connection;
  readonly control: Connection;
  /** Hands over the events so far, and each one from now on. */
  readonly deliverEvents: (listener: (event: DomainEvent) => void) => void;
  /** Makes another connection end when these do. */
  readonly adopt: (connection: Connection) => void;
  /** Resolves, with the reason, when the first of the two has ended; both have then. */
  readonly ended: Promise<LibvirtConnectionLostError>;
  /** Takes leave of libvirtd, for at most half a second, and ends both. */
  readonly close: () => Promise<void>;
}

/** Opens both connections and registers for events on `query`. Errors as `openConnection`, and `LibvirtError` for an unknown event. */
export async function openSession(
  options: Omit<OpenOptions, 'onEvent'>,
  events: readonly DomainEventKind[],
  signal: AbortSignal,
): Promise<Session> {
  const early: DomainEvent[] = [];
  let listener = (event: DomainEvent): void => void early.push(event);
  const open = new Set<Connection>();
  let over: Error | undefined;
  const endAll = (reason: Error): void => {
    over = reason;
    for (const connection of open) connection.end(reason);
  };
  try {
    const query = await openConnection({ ...options, onEvent: (event) => listener(event) }, signal);
    open.add(query);
    const control = await openConnection({ ...options, onEvent: () => {} }, signal);
    open.add(control);
    for (const kind of events) {
      await query.call(eventProcedures.register, [eventLayouts[kind].id, undefined], { timeoutMs: options.connectTimeoutMs, signal });
    }
    const ended = Promise.race([query.ended, control.ended]);
    void ended.then(endAll);
    return {
      query,
      control,
      ended,
      adopt(connection) {
        open.add(connection);
        void connection.ended.then(() => open.delete(connection));
        if (over !== undefined) connection.end(over);
      },
      deliverEvents(next) {
        listener = next;
        for (const event of early.splice(0)) next(event);
      },
      async close() {
        const goodbyes = [query, control].map((connection) =>
          connection.call(connectionProcedures.close, [], { timeoutMs: goodbyeTimeoutMs }),
        );
        await Promise.allSettled(goodbyes);
        endAll(new Error('this client closed it'));
      },
    };
  } catch (error) {
    endAll(new Error('the session could not be opened'));
    throw error;
  }
}
