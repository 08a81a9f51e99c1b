import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseReference } from '../../../../src/images/reference.ts';
import { compileAddress } from '../../../../src/images/sources/address.ts';

const reference = parseReference('vm/x');

function filled(text: string, ...groups: string[]): string {
  const address = compileAddress(text, 'key', true)(['whole', ...groups], reference);
  return address.kind === 'http' ? address.url.href : `file ${address.path}`;
}

describe('addresses that cannot be', () => {
  test.each([
    ['https://$1/disk', /never in the host/],
    ['https://u:$1@host/disk', /never in the host/],
    ['https://host$1', /never in the host/],
    ['https://host\\$1', /never in the host/],
    ['https:///$1', /must be an https/],
    ['https://host:$1/', /must be an https/],
    ['ftp://host/disk', /must be an https/],
    ['https://', /must be an https/],
    ['file://host/disk', /must be an https/],
    ['file:/disk', /must be an https/],
    ['file:///$1', /only below a directory/],
    ['file:///srv$1/x', /only below a directory/],
    ['file:///srv/x?$1', /must be an https/],
    ['file:///srv\\..\\$1', /must be an https/],
  ])('%s', (text, message) => {
    expect(() => compileAddress(text, 'key', true)).toThrow(message);
  });

  test('a slash that is hidden in a file’s address', () => {
    expect(() => compileAddress('file:///srv/a%2fb', 'key', false)).toThrow(/key: is not the address of a file/);
  });
});

test('groups are filled in, and a dollar sign stays one where there are none', () => {
  expect(filled('https://h.example/$2/$1?q=$1', 'a', 'b')).toBe('https://h.example/b/a?q=a');
  expect(filled('https://h.example?$1', 'a')).toBe('https://h.example/?a');
  expect(filled('file:///srv/disks/$1.img', 'a')).toBe('file /srv/disks/a.img');
  expect(compileAddress('https://h.example/$1', 'key', false)([], reference)).toEqual({
    kind: 'http',
    url: new URL('https://h.example/$1'),
  });
});

describe('what a reference may not fill in', () => {
  test.each(['..', '.', '../x', 'x/..', '%2e%2E', '.%2e/x', 'a\\..'])('%s', (group) => {
    expect(() => filled('https://h.example/disks/$1/disk', group)).toThrow(/vm\/x.*would leave the directory of its source \(key\)/);
    expect(() => filled('file:///srv/disks/$1', group)).toThrow(/would leave the directory/);
  });

  test('half of a dot-dot', () => {
    expect(() => filled('https://h.example/disks/.$1/disk', '.')).toThrow(/would leave/);
  });

  test('any host or directory but the configured one', () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 20 }),
        fc.string({ unit: fc.constantFrom('.', '/', '%', '2', 'e', '@', ':', '\\', '?', '#', 'a') }),
        (any, nasty) => {
          for (const group of [any, nasty]) {
            for (const text of ['https://h.example/d/$1', 'http://h.example:81/d$1', 'https://u:p@h.example?$1', 'file:///srv/d/$1']) {
              let where: string;
              try {
                where = filled(text, group);
              } catch {
                continue;
              }
              expect(where).toMatch(/^(https:\/\/h\.example\/d\/|http:\/\/h\.example:81\/d|https:\/\/u:p@h\.example\/|file \/srv\/d\/)/);
            }
          }
        },
      ),
    );
  });
});
