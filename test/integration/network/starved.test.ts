import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { bridgePlugin, makeNode, nothing, request } from './node.ts';

it('a daemon without descriptors refuses pods, lives on, and takes pods when it has some again', () => {
  const node = makeNode();
  node.configure([bridgePlugin(node, { type: 'modern', ipMasq: false })], undefined, '1.1.0');
  const { netnsDir, stateDir, runtimeDir, confDir, binDir } = node;
  const cni = { confDir, binDirs: [binDir], timeoutMs: 20_000, cacheDir: join(stateDir, 'cni'), pollMs: 200 };
  const given = {
    options: { netnsDir, stateDir, runtimeDir, dhcpWatchMs: 100, cni },
    tap: `ts${process.pid}`,
    requests: [request(), request()],
  };
  const program = [process.execPath, join(import.meta.dirname, 'starved-daemon.ts'), JSON.stringify(given)];
  const { stdout, stderr, status } = spawnSync('prlimit', ['--nofile=100', ...program], { encoding: 'utf8' });
  expect([stderr, status]).toEqual(['', 0]);
  expect(stdout).toBe('refused\nrefused\n10.213.7.3\n');
  expect(node.traces()).toEqual(nothing);
});
