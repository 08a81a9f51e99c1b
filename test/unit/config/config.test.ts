import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConfigError, loadConfig, parseListen, renderConfigDocs, type Config } from '../../../src/config/config.ts';
import { configKeys, variableOf } from '../../../src/config/environment.ts';
import { tempDir } from '../../lib/temp.ts';

interface Given {
  readonly file?: string;
  readonly dropIns?: Readonly<Record<string, string>>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly settings?: readonly string[];
}

function load(given: Given): Config {
  const dir = tempDir();
  const dropInDir = join(dir, 'conf.d');
  mkdirSync(dropInDir);
  for (const [name, text] of Object.entries(given.dropIns ?? {})) writeFileSync(join(dropInDir, name), text);
  if (given.file !== undefined) writeFileSync(join(dir, 'config.yaml'), given.file);
  return loadConfig({
    file: join(dir, 'config.yaml'),
    fileRequired: given.file !== undefined,
    dropInDir,
    environment: given.environment ?? {},
    settings: given.settings ?? [],
  });
}

function problemsOf(given: Given): readonly string[] {
  try {
    load(given);
  } catch (error) {
    if (error instanceof ConfigError)
      return error.problems.map(({ source, key, message }) => `${source.replace(/^.*\//, '')}|${key}|${message}`);
    throw error;
  }
  return [];
}

describe('configuration', () => {
  it('has a default for everything that has one', () => {
    const config = load({});
    expect(config.socket).toBe('/run/vmlet/vmlet.sock');
    expect(config.stateDir).toBe('/var/lib/vmlet');
    expect(config.domainType).toBe('auto');
    expect(config.console.maxBacklog).toBe(256 * 2 ** 20);
    expect(config.cni.binDirs).toEqual(['/opt/cni/bin', '/usr/lib/cni']);
  });

  it('takes file, drop-ins by name, environment and flags in this order, the last one wins', () => {
    const given = {
      file: 'logLevel: error\nvm: {defaultCpus: 2, maxCpus: 8}\nstateDir: /a\nruntimeDir: /file',
      dropIns: { '20.yaml': 'stateDir: /c\nruntimeDir: /drop', '10.yaml': 'stateDir: /b', 'ignored.txt': 'stateDir: /no' },
      environment: { VMLET_RUNTIME_DIR: '/env', VMLET_VM_DEFAULT_CPUS: '3', HOME: '/root' },
      settings: ['vm.defaultCpus=4'],
    };
    const config = load(given);
    expect([config.logLevel, config.stateDir, config.runtimeDir, config.vm.defaultCpus, config.vm.maxCpus]).toEqual([
      'error',
      '/c',
      '/env',
      4,
      8,
    ]);
  });

  it('reads bytes and durations with and without units', () => {
    const config = load({ file: 'vm: {defaultMemory: 1Gi, overhead: 64Mi, shutdownRepeat: 2s}\nimages: {stallTimeout: 1500}' });
    expect([config.vm.defaultMemory, config.vm.overhead, config.vm.shutdownRepeat, config.images.stallTimeout]).toEqual([
      2 ** 30,
      2 ** 26,
      2_000,
      1_500,
    ]);
  });

  it('tells all problems at once, each with its key and its source', () => {
    const found = problemsOf({
      file: 'stateDir: relative\nsurprise: 1\nvm: {maxCpus: 0}',
      dropIns: { '10.yaml': 'images: {sources: [{name: a, match: b, url: "ftp://x", sha256: zz}]}', '20.yaml': ': : :\n\t-' },
      environment: { VMLET_LOG_LEVEL: 'loud', VMLET_NO_SUCH: '1' },
      settings: ['console.maxBacklog=many', 'nonsense'],
    });
    expect(found).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^config.yaml\|stateDir\|must be an absolute path/),
        'config.yaml|surprise|is not a key of vmlet’s configuration',
        expect.stringMatching(/^config.yaml\|vm.maxCpus\|/),
        expect.stringMatching(/^10.yaml\|images.sources.0.sha256\|must be 64/),
        expect.stringMatching(/^20.yaml\|\|/),
        expect.stringMatching(/^environment VMLET_LOG_LEVEL\|logLevel\|/),
        'environment VMLET_NO_SUCH||is not a variable of vmlet’s configuration',
        expect.stringMatching(/^flag --set\|console.maxBacklog\|must be bytes/),
        'flag --set|nonsense|must be key=value, for example --set logLevel=debug',
      ]),
    );
  });

  it.each([
    ['a source with both name and match', 'images: {sources: [{name: a, match: b, url: "http://x"}]}', 'exactly one of name and match'],
    [
      'a source that is no URL',
      'images: {sources: [{name: a, url: "ftp://x"}]}',
      'must be an address that begins with https://, http:// or',
    ],
    ['a broken expression', 'images: {sources: [{match: "(", url: "http://x"}]}', 'is not a regular expression'],
    ['libvirt.socket without runDir', 'libvirt: {socket: /x}', 'socket and runDir must be given together'],
    ['a socket path that is too long', `socket: /${'x'.repeat(120)}`, 'at most 100 bytes'],
    ['a path with dots', 'stateDir: /var/../etc', 'without "." and ".."'],
    ['metrics on a name', 'metrics: {listen: "localhost:9471"}', 'ADDRESS:PORT with an IP address'],
    ['metrics on all addresses without saying so', 'metrics: {listen: ":9471"}', 'ADDRESS:PORT with an IP address'],
    ['metrics without a port', 'metrics: {listen: 127.0.0.1}', 'ADDRESS:PORT with an IP address'],
    ['metrics switched off by a boolean', 'metrics: {listen: false}', 'metrics.listen'],
    ['a duration without unit that makes sense', 'cni: {timeout: soon}', 'must be a duration'],
  ])('refuses %s', (_name, file, message) => {
    expect(problemsOf({ file }).join('\n')).toContain(message);
  });

  it.each([
    ['off', 'off'],
    ['127.0.0.1:9471', { host: '127.0.0.1', port: 9471 }],
    ['0.0.0.0:0', { host: '0.0.0.0', port: 0 }],
    ['[::1]:9471', { host: '::1', port: 9471 }],
    ['[::]:65535', { host: '::', port: 65_535 }],
    ['::1:9471', undefined],
    ['[127.0.0.1]:9471', undefined],
    ['127.0.0.1:65536', undefined],
    ['127.0.0.1:-1', undefined],
    ['127.0.0.1: 9471', undefined],
    ['256.0.0.1:9471', undefined],
    ['*:9471', undefined],
    ['9471', undefined],
    ['', undefined],
    ['OFF', undefined],
  ])('reads the address %j', (text, expected) => {
    expect(parseListen(text)).toEqual(expected);
  });

  it('serves metrics on loopback alone by default', () => {
    expect(load({}).metrics.listen).toBe('127.0.0.1:9471');
    expect(load({ file: 'metrics: {listen: off}' }).metrics.listen).toBe('off');
  });

  it('refuses a file that was named and is missing', () => {
    const load = (): Config =>
      loadConfig({ file: '/nonexistent/x.yaml', fileRequired: true, dropInDir: '/nonexistent', environment: {}, settings: [] });
    expect(load).toThrow(/x\.yaml: .*ENOENT/);
  });

  it('has a variable for each key, and a row in the generated page', () => {
    const page = renderConfigDocs();
    for (const path of configKeys()) expect(page).toContain(`| \`${path.join('.')}\` |`);
    expect(new Set(configKeys().map(variableOf)).size).toBe(configKeys().length);
    expect(variableOf(['libvirt', 'runDir'])).toBe('VMLET_LIBVIRT_RUN_DIR');
  });
});
