import { assemble } from './assembler.ts';
import type { Program } from './assembler.ts';
import { movAx, x86 } from './instructions.ts';
import { openSerial } from './serial.ts';

/** Where the BIOS loads the first sector of a disk, and starts it in 16-bit mode. */
const origin = 0x7c00;
const sectorBytes = 512;
/** By these last two bytes the BIOS knows a sector that can be started. */
const signature = [0x55, 0xaa];

/** The first instructions of every boot sector: flat segments, a stack below the code, COM1 ready, interrupts off. */
const prologue: Program = [
  x86.cli,
  movAx(0),
  [0x8e, 0xd8], // mov ds, ax
  [0x8e, 0xc0], // mov es, ax
  [0x8e, 0xd0], // mov ss, ax
  [0xbc, 0x00, 0x7c], // mov sp, 0x7c00
  ...openSerial,
];

/** Ports of the ACPI power management registers (PM1 event and control blocks) as SeaBIOS places them on q35 and pc. */
export const acpiPorts = { status: 0x600, enable: 0x602, control: 0x604 } as const;

/** Value for `control`: SLP_EN with SLP_TYP 0, which on QEMU's machines is S5, off. */
export const acpiOff = 0x2000;

/** Size of the disks: 1 MiB. SeaBIOS does not boot from a disk that is smaller than a cylinder, and no tool rounds this size. */
const diskBytes = 2 ** 20;

/** A raw disk that boots: its first sector prepares the machine and then runs `program`. Throws when the program is too long for a sector. */
export function bootDisk(program: Program): Uint8Array {
  const code = assemble([...prologue, ...program], origin);
  const room = sectorBytes - signature.length;
  if (code.length > room) throw new Error(`a boot sector has room for ${room} bytes of code, this one has ${code.length}`);
  const disk = new Uint8Array(diskBytes);
  disk.set(code);
  disk.set(signature, room);
  return disk;
}
