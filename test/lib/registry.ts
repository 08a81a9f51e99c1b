import { onTestFinished } from 'vitest';
import { makeAuthority } from './certificates.ts';
import { launchRegistry, type RegistryRun, type TestRegistry } from './registry-process.ts';
import { tempDir } from './temp.ts';

/** Starts Debian's docker-registry on loopback, with a certificate of an authority of its own for `tls`. Ended when the running test ends. */
export async function startRegistry(options: { readonly tls?: boolean; readonly auth?: RegistryRun['auth'] } = {}): Promise<TestRegistry> {
  const { tls = false, auth } = options;
  const registry = await launchRegistry({ dir: tempDir(), auth, tls: tls ? certificate() : undefined });
  onTestFinished(registry.stop);
  return registry;
}

function certificate(): NonNullable<RegistryRun['tls']> {
  const authority = makeAuthority();
  return { ...authority.issue({ altNames: ['IP:127.0.0.1', 'DNS:localhost'] }), ca: authority.cert };
}
