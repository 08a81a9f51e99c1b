import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { seedDocuments } from '../../../src/guest/documents.ts';
import { makeGuest, type SeedRequest } from '../../../src/guest/guest.ts';
import { tempDir } from '../../lib/temp.ts';

const guest = makeGuest();
const { signal } = new AbortController();
let dir: string;
let request: SeedRequest;

beforeEach(() => {
  dir = tempDir();
  request = {
    path: join(dir, 'seed.iso'),
    instanceId: 'b'.repeat(64),
    hostname: 'web-0',
    interfaces: [{ name: 'eth0', mac: '0a:58:0a:f4:01:07', mtu: 1450, addresses: [{ cidr: '10.244.1.7/24' }], routes: [] }],
    dns: { servers: ['10.96.0.10'], searches: ['cluster.local'], options: [] },
    uid: 64_001,
    gid: 64_002,
  };
});

describe('a seed', () => {
  test.each(['-R', '-J'])('holds the three documents under their long names (isoinfo %s)', async (names) => {
    await guest.makeSeed(request, signal);
    const isoinfo = (...args: string[]): string => execFileSync('isoinfo', ['-i', request.path, ...args], { encoding: 'utf8' });
    expect(isoinfo('-d')).toMatch(/^Volume id: cidata$/m);
    for (const [name, content] of Object.entries(seedDocuments(request))) {
      expect(isoinfo(names, '-x', `/${name}`)).toBe(content);
    }
  });

  test('belongs to the VM alone, and its sources are gone', async () => {
    await guest.makeSeed(request, signal);
    const { mode, uid, gid } = statSync(request.path);
    expect([mode & 0o7777, uid, gid]).toEqual([0o600, 64_001, 64_002]);
    expect(readdirSync(dir)).toEqual(['seed.iso']);
  });

  test('replaces what an earlier attempt left', async () => {
    writeFileSync(request.path, 'leftover');
    mkdirSync(`${request.path}.parts/sources`, { recursive: true });
    writeFileSync(`${request.path}.parts/sources/vendor-data`, 'leftover');
    await guest.makeSeed(request, signal);
    expect(execFileSync('isoinfo', ['-i', request.path, '-R', '-f'], { encoding: 'utf8' }).trim().split('\n').toSorted()).toEqual([
      '/meta-data',
      '/network-config',
      '/user-data',
    ]);
    expect(readdirSync(dir)).toEqual(['seed.iso']);
  });
});

describe('a seed that cannot be made leaves nothing', () => {
  test('a bad host name', async () => {
    await expect(guest.makeSeed({ ...request, hostname: 'a b' }, signal)).rejects.toMatchObject({ facts: { code: 'INVALID' } });
    expect(readdirSync(dir)).toEqual([]);
  });

  test('the old seed stays when the program fails', async () => {
    writeFileSync(request.path, 'old');
    await expect(makeGuest({ isoProgram: 'false' }).makeSeed(request, signal)).rejects.toThrow('false');
    expect(readFileSync(request.path, 'utf8')).toBe('old');
    expect(readdirSync(dir)).toEqual(['seed.iso']);
  });

  test('a caller that goes', async () => {
    const controller = new AbortController();
    const making = guest.makeSeed(request, controller.signal);
    controller.abort(new Error('gone'));
    await expect(making).rejects.toThrow('gone');
    expect(readdirSync(dir)).toEqual([]);
  });

  test.each(['64k', '8k'])('a full file system of %s', async (size) => {
    const mount = join(dir, 'full');
    mkdirSync(mount);
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'vmlet-test', mount]);
    onTestFinished(() => void execFileSync('umount', [mount]));
    const path = join(mount, 'seed.iso');
    await expect(guest.makeSeed({ ...request, path }, signal)).rejects.toMatchObject({ facts: { code: 'DISK_FULL', path } });
    expect(readdirSync(mount)).toEqual([]);
  });
});
