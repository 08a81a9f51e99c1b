import { expect, it } from 'vitest';
import { parseVersions, unableOf, versionFor, type Spoken } from '../../../../src/network/cni/plugin-versions.ts';

const offered = ['0.4.0', '1.0.0', '1.1.0'];

it.each<readonly [string, readonly Spoken[], string]>([
  ['the highest that is offered', [offered, ['0.3.1', ...offered]], '1.1.0'],
  ['the highest that all speak', [offered, ['0.3.0', '0.4.0', '1.0.0']], '1.0.0'],
  ['one that the least able speaks', [['0.3.1', '0.4.0'], offered], '0.4.0'],
  ['the highest where a program knows nothing of versions', ['any'], '1.1.0'],
  ['the highest that the others speak beside such a one', ['any', ['0.4.0', '1.0.0']], '1.0.0'],
  ['the lowest while a program has not answered', ['unanswered', 'any', offered], '0.4.0'],
  ['the lowest that the others speak meanwhile', ['unanswered', ['1.0.0', '1.1.0']], '1.0.0'],
  ['the highest where there is none in common: ADD says so', [['0.4.0'], ['1.0.0']], '1.1.0'],
])('the version for a network is %s', (_what, spoken, version) => {
  expect(versionFor(offered, spoken)).toBe(version);
});

it('names a program that does not speak what is chosen', () => {
  const spoken = new Map<string, Spoken>([
    ['ptp', 'any'],
    ['loopback', 'unanswered'],
    ['bridge', ['0.4.0', '1.0.0']],
    ['tuning', ['0.4.0']],
  ]);
  expect(unableOf('1.1.0', spoken)).toEqual({ plugin: 'bridge', versions: ['0.4.0', '1.0.0'] });
  expect(unableOf('1.0.0', spoken)).toEqual({ plugin: 'tuning', versions: ['0.4.0'] });
  expect(unableOf('0.4.0', spoken)).toBeUndefined();
});

it.each([
  ['{"cniVersion": "1.0.0", "supportedVersions": ["0.4.0", "1.0.0"]}', ['0.4.0', '1.0.0']],
  ['{"cniVersion": "1.0.0", "supportedVersions": []}', undefined],
  ['{"cniVersion": "1.0.0", "supportedVersions": "all"}', undefined],
  ['{"code": 4, "msg": "unknown CNI_COMMAND: VERSION"}', undefined],
  ['', undefined],
])('an answer to VERSION such as %s is %j', (text, versions) => {
  expect(parseVersions(text)).toEqual(versions);
});
