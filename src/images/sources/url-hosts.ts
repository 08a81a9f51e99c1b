import { invalid } from '../../model/errors.ts';
import type { Transport } from '../http/transport.ts';
import { formatReference, type Reference } from '../reference.ts';
import { compressionOf } from './mapping.ts';
import type { HttpOrigin } from './origin.ts';

/** The host of Virtlet's names; nothing is ever asked there. */
const prefix = 'virtlet.cloud/';

/** Answers the address that a name of the form `virtlet.cloud/<host>/<path>` holds, `undefined` for other names. Throws INVALID for a host that is not allowed. */
export type UrlNames = (reference: Reference) => HttpOrigin | undefined;

/** `entries`: `images.urlHosts`, each `host`, `host:port` or `http://host[:port]`; names have no port, so the entry's counts. */
export function makeUrlNames(entries: readonly string[], transport: Transport): UrlNames {
  const origins = new Map(entries.map((entry) => urlHost(entry)));
  return (reference) => {
    if (!reference.name.startsWith(prefix)) return undefined;
    const shown = JSON.stringify(formatReference(reference));
    const [host = '', ...path] = reference.name.slice(prefix.length).split('/');
    const origin = origins.get(host);
    if (origin === undefined) {
      throw invalid(
        'image',
        `${shown}: no line of images.sources maps it, and ${JSON.stringify(host)} is not in images.urlHosts of the node's configuration`,
      );
    }
    if (path.length === 0) throw invalid('image', `${shown} names a host and no path on it`);
    // A tag says nothing to a web server, and whoever writes one expects that it does; beside a digest it is a remark everywhere.
    if (reference.digest === undefined && reference.tag !== undefined && reference.tag !== 'latest') {
      throw invalid(
        'image',
        `${shown}: a tag has no meaning in virtlet.cloud/<host>/<path>: leave :${reference.tag} out, or map this name in images.sources`,
      );
    }
    const url = new URL(`${origin}/${path.join('/')}`);
    const compression = compressionOf(url.pathname);
    return { kind: 'http', url, isConfigured: false, transport, format: 'qcow2', compression, digest: reference.digest };
  };
}

function urlHost(entry: string): readonly [string, string] {
  const [, protocol = 'https://', host = '', port = ''] = /^(http:\/\/)?([^:/]*)(:[0-9]+)?$/.exec(entry) ?? [];
  return [host, `${protocol}${host}${port}`];
}
