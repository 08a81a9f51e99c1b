import { describe, expect, it } from 'vitest';
import { assemble, label, text } from '../../../src/hypervisor/kvm-proof/assembler.ts';
import { bootDisk } from '../../../src/hypervisor/kvm-proof/boot-sector.ts';
import { call, jmp, jz, movSi, x86 } from '../../../src/hypervisor/kvm-proof/instructions.ts';
import { longModeMarker, longModeProof } from '../../../src/hypervisor/kvm-proof/long-mode.ts';

function nops(count: number): readonly number[] {
  return Array.from({ length: count }, () => 0x90);
}

describe('assemble', () => {
  it('resolves jumps backwards and forwards, calls and addresses', () => {
    const program = [label('start'), x86.hlt, jmp('start'), jz('end'), call('end'), movSi('end'), label('end'), text('A')];
    // hlt; jmp -3; jz +6; call +3; mov si, 0x7c0b; "A", NUL
    expect([...assemble(program, 0x7c00)]).toEqual([0xf4, 0xeb, 0xfd, 0x74, 6, 0xe8, 3, 0, 0xbe, 0x0b, 0x7c, 0x41, 0]);
  });

  it('names a label that is missing, there twice, or too far for a short jump', () => {
    expect(() => assemble([jmp('nowhere')], 0)).toThrow('no label nowhere');
    expect(() => assemble([label('a'), label('a')], 0)).toThrow('label a is there twice');
    expect(() => assemble([jmp('far'), nops(128), label('far')], 0)).toThrow('label far is 128 bytes away');
    expect([...assemble([jmp('near'), nops(127), label('near')], 0)].slice(0, 2)).toEqual([0xeb, 127]);
  });
});

describe('bootDisk', () => {
  it('is 1 MiB, ends its first sector with the signature and has nothing behind it', () => {
    const disk = longModeProof();
    expect(disk.length).toBe(2 ** 20);
    expect([...disk.subarray(510, 512)]).toEqual([0x55, 0xaa]);
    expect(disk.subarray(512).every((byte) => byte === 0)).toBe(true);
    expect(Buffer.from(disk.subarray(0, 512)).includes(`${longModeMarker}\r\n\0`)).toBe(true);
  });

  it('refuses a program that does not fit', () => {
    expect(() => bootDisk([nops(510)])).toThrow('room for 510 bytes');
  });
});
