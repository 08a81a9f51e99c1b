import { invalid } from '../../model/errors.ts';
import { credentialHostOf } from './repository-name.ts';
import type { RegistryAuth } from './registry.ts';

/** What a caller proves itself with. Never logged. */
export type Credentials =
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  /** OAuth2: changed for a token by the token server. */
  | { readonly kind: 'refresh-token'; readonly token: string }
  /** Sent to the registry as it is. */
  | { readonly kind: 'bearer'; readonly token: string };

/**
 * The credentials that CRI's AuthConfig holds, the most specific first: registry token, identity token, user with password, their base64 form.
 * Throws INVALID, without the value, for what cannot be sent.
 */
export function credentialsOf(auth: RegistryAuth | undefined): Credentials | undefined {
  if (auth === undefined) return undefined;
  const { registryToken = '', identityToken = '', username = '', password = '', auth: encoded = '' } = auth;
  if (registryToken !== '') {
    if (!/^[\x21-\x7e]+$/.test(registryToken)) throw invalid('auth.registry_token', 'must be printable ASCII without spaces');
    return { kind: 'bearer', token: registryToken };
  }
  if (identityToken !== '') return { kind: 'refresh-token', token: identityToken };
  if (username !== '') return { kind: 'basic', username, password };
  return encoded === '' ? undefined : decodePair(encoded);
}

/** Whether the credentials of a pull may go to a registry: those for another server address may not. */
export function areFor({ serverAddress = '' }: RegistryAuth, host: string): boolean {
  return serverAddress === '' || credentialHostOf(serverAddress) === credentialHostOf(host);
}

/** Whether they name a host that is not the registry itself, such as one of its mirrors. */
export function areNamedFor({ serverAddress = '' }: RegistryAuth, host: string): boolean {
  return serverAddress !== '' && credentialHostOf(serverAddress) === credentialHostOf(host);
}

/** Some clients fill the decoded text up with NUL, which no password has. */
function decodePair(encoded: string): Credentials {
  const text = Buffer.from(encoded, 'base64').toString('utf8').replace(/\0+$/, '');
  const colon = text.indexOf(':');
  if (colon < 1 || !/^[A-Za-z0-9+/_-]+=*$/.test(encoded.trim())) throw invalid('auth.auth', 'must be user:password in base64');
  return { kind: 'basic', username: text.slice(0, colon), password: text.slice(colon + 1) };
}
