import { isAbsolute } from 'node:path';
import { invalid } from '../model/errors.ts';

/** Letters, digits, `-`, `_` and `.`: what file names, CNI_ARGS and libvirt's metadata all carry unchanged. */
const plainName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/;
const dnsLabel = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/** Linux takes no longer host name (HOST_NAME_MAX, limits.h). */
const maxHostnameLength = 64;

/** A name that identifies a pod or a container. Throws INVALID when it is missing or cannot be carried unchanged. */
export function requireName(field: string, value: string | undefined): string {
  if (!value) throw invalid(field, 'is missing');
  if (!plainName.test(value)) throw invalid(field, `${JSON.stringify(value)} must be letters, digits, "-", "_" and ".", at most 253`);
  return value;
}

/** A pod's host name: a DNS label or subdomain as Kubernetes makes them (RFC 1123), or empty for the pod's name. Throws INVALID. */
export function requireHostname(field: string, value: string): string {
  const fits = value.length <= maxHostnameLength && value.split('.').every((label) => dnsLabel.test(label));
  if (value === '' || fits) return value;
  const accepted = `lower-case letters, digits and "-" in labels of at most 63, parted by ".", at most ${maxHostnameLength} in all`;
  throw invalid(field, `${JSON.stringify(value)} is no host name; accepted: ${accepted}`);
}

/** A path from the root without `..`, or empty. Throws INVALID. */
export function requireAbsolutePath(field: string, value: string): string {
  if (value === '' || (isAbsolute(value) && isPlain(value))) return value;
  throw invalid(field, `${JSON.stringify(value)} must be an absolute path without ".."`);
}

/** A path that stays below the directory that it is joined with, or empty. Throws INVALID. */
export function requireRelativePath(field: string, value: string): string {
  if (!isAbsolute(value) && isPlain(value)) return value;
  throw invalid(field, `${JSON.stringify(value)} must be a relative path without ".."`);
}

function isPlain(path: string): boolean {
  return !path.includes('\0') && !path.split('/').includes('..');
}
