import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { crc32c } from '../../../../src/images/door/crc32c.ts';
import { readForeignHeader, type ForeignFormat } from '../../../../src/images/door/foreign-header.ts';
import { Refusal } from '../../../../src/images/failures.ts';
import { resealVhdx, syntheticForeign, vmdkWithFooter } from '../../../lib/foreign-headers.ts';
import { readSparse, type SparseFile } from '../../../lib/sparse-file.ts';

const maxVirtualBytes = 2 ** 40;
const formats: readonly ForeignFormat[] = ['vmdk', 'vdi', 'vhdx'];

/** The rule that refuses it, or its size. */
async function judge(format: ForeignFormat, file: SparseFile, limit = maxVirtualBytes): Promise<string | number> {
  try {
    const limits = { fileBytes: file.fileBytes, maxVirtualBytes: limit };
    return (await readForeignHeader(format, readSparse(file), limits)).virtualSizeBytes;
  } catch (error) {
    if (error instanceof Refusal) return error.rule;
    throw error;
  }
}

describe.each(formats)('%s', (format) => {
  test('a sound header is read, within the limit on its size', async () => {
    expect(await judge(format, syntheticForeign[format]())).toBe(16 * 2 ** 20);
    expect(await judge(format, syntheticForeign[format](), 16 * 2 ** 20)).toBe(16 * 2 ** 20);
    expect(await judge(format, syntheticForeign[format](), 16 * 2 ** 20 - 1)).toBe('virtual-size');
  });

  test('that of another format is none', async () => {
    for (const other of formats.filter((name) => name !== format)) expect(await judge(format, syntheticForeign[other]())).toBe('magic');
  });

  test('any bytes give a rule', async () => {
    const bytes = fc.uint8Array({ maxLength: 1024 });
    await fc.assert(
      fc.asyncProperty(bytes, async (any) => {
        expect(await judge(format, { fileBytes: any.length, parts: [{ at: 0, bytes: Buffer.from(any) }] })).toBe('magic');
      }),
    );
  });

  test('a sound header with bytes changed gives a rule, or a size within the limit', async () => {
    const edit = fc.record({ part: fc.nat(9), at: fc.nat(600), value: fc.nat(255) });
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 4 }), fc.boolean(), async (edits, cut) => {
        const { fileBytes, parts } = syntheticForeign[format]();
        for (const { part, at, value } of edits) {
          const bytes = parts[part % parts.length]?.bytes;
          if (bytes) bytes[at % bytes.length] = value;
        }
        const file = { fileBytes: cut ? fileBytes - 1000 : fileBytes, parts };
        resealVhdx(file);
        const told = await judge(format, file);
        expect(typeof told === 'string' || (told > 0 && told <= maxVirtualBytes && told % 512 === 0)).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  test('a file that is cut anywhere gives a rule or its size', async () => {
    const { parts } = syntheticForeign[format]();
    await fc.assert(
      fc.asyncProperty(fc.nat(4 * 2 ** 20), async (fileBytes) => {
        expect(['string', 'number']).toContain(typeof (await judge(format, { fileBytes, parts })));
      }),
    );
  });
});

test('a footer counts as the header does', async () => {
  expect(await judge('vmdk', vmdkWithFooter())).toBe(16 * 2 ** 20);
  const { fileBytes, parts } = vmdkWithFooter();
  parts[2]?.bytes.writeBigUInt64LE(64n, 12);
  expect(await judge('vmdk', { fileBytes, parts })).toBe('vmdk-footer');
});

test('of two VHDX headers the whole one that was written last counts', async () => {
  const newest = (from: number): SparseFile => {
    const file = syntheticForeign.vhdx();
    file.parts[from]?.bytes.fill(1, 48, 64); // a log to replay
    resealVhdx(file);
    return file;
  };
  expect(await judge('vhdx', newest(1))).toBe(16 * 2 ** 20);
  expect(await judge('vhdx', newest(2))).toBe('dirty');
  const damaged = newest(2);
  damaged.parts[2]?.bytes.fill(1, 100, 104);
  expect(await judge('vhdx', damaged)).toBe(16 * 2 ** 20);
});

test('CRC-32C is that of RFC 3720, appendix B.4', () => {
  expect(crc32c(Buffer.alloc(32)).toString(16)).toBe('8a9136aa');
  expect(crc32c(Buffer.alloc(32, 0xff)).toString(16)).toBe('62a8ab43');
  expect(crc32c(Buffer.from('123456789')).toString(16)).toBe('e3069283');
});
