import { label, text, word } from '../../src/hypervisor/kvm-proof/assembler.ts';
import type { Piece, Program } from '../../src/hypervisor/kvm-proof/assembler.ts';
import { acpiOff, acpiPorts, bootDisk } from '../../src/hypervisor/kvm-proof/boot-sector.ts';
import { call, jmp, jz, movAl, movAx, movDx, movSi, x86 } from '../../src/hypervisor/kvm-proof/instructions.ts';
import { longModeProof } from '../../src/hypervisor/kvm-proof/long-mode.ts';
import { serialRoutines } from '../../src/hypervisor/kvm-proof/serial.ts';
import { count, numberRoutine, resetCounter, sleepOneSecond, sleepOneTick } from './counting.ts';

/** The guests there are; README.md tells what each does. */
export const bootSectorKinds = ['acpi', 'halt', 'long', 'off', 'panic', 'spam', 'tick'] as const;

/** One of the guests. */
export type BootSectorKind = (typeof bootSectorKinds)[number];

/** pvpanic's port, and its event "the guest has panicked" (QEMU, docs/specs/pvpanic). */
const pvpanic = { port: 0x505, panicked: 1 } as const;

/** Writing `acpiEnable` to port `command` hands power management to the guest, as an operating system does (ICH9, so on q35). */
const smi = { command: 0xb2, acpiEnable: 0x02 } as const;

/** The power button's bit in the PM1 status and enable registers; QEMU sets the status only while the button is enabled. */
const powerButton = 1 << 8;

const powerOff = outWord(acpiPorts.control, acpiOff);
const stop: Program = [label('stop'), x86.cli, x86.hlt, jmp('stop')];

const enablePowerButton: Program = [...outByte(smi.command, smi.acpiEnable), ...outWord(acpiPorts.enable, powerButton)];
const waitForPowerButton: Program = [label('wait'), ...sleepOneTick, movDx(acpiPorts.status), x86.inAxDx, testAx(powerButton), jz('wait')];

/** Writes one line "MARKER" and goes on. */
function say(marker: string, then: Program): Program {
  return [movSi('line'), call('print'), ...then, ...serialRoutines, label('line'), text(`${marker}\r\n`)];
}

/** Writes lines "MARKER 1", "MARKER 2", ... for ever, with `pause` after each. */
function sayNumbered(marker: string, pause: Program): Program {
  return [
    ...resetCounter,
    label('again'),
    ...count,
    movSi('line'),
    call('print'),
    call('number'),
    movSi('end'),
    call('print'),
    ...pause,
    jmp('again'),
    ...serialRoutines,
    ...numberRoutine,
    label('line'),
    text(`${marker} `),
    label('end'),
    text('\r\n'),
  ];
}

function outByte(port: number, value: number): Program {
  return [movDx(port), movAl(value), x86.outDxAl];
}

function outWord(port: number, value: number): Program {
  return [movDx(port), movAx(value), x86.outDxAx];
}

function testAx(mask: number): Piece {
  return [0xa9, ...word(mask)];
}

/** What the guest writes to COM1: as a line, or (`spam`, `tick`) as the beginning of each line, before a space and the line's number. */
export function bootMarker(kind: BootSectorKind): string {
  return `vmlet-boot: ${kind}`;
}

/** The guest as a raw disk of 1 MiB. */
export function makeBootDisk(kind: BootSectorKind): Uint8Array {
  const marker = bootMarker(kind);
  switch (kind) {
    case 'acpi':
      return bootDisk(say(marker, [...enablePowerButton, ...waitForPowerButton, ...powerOff, ...stop]));
    case 'halt':
      return bootDisk(say(marker, stop));
    case 'long':
      return longModeProof();
    case 'off':
      return bootDisk(say(marker, [...powerOff, ...stop]));
    case 'panic':
      return bootDisk(say(marker, [...outByte(pvpanic.port, pvpanic.panicked), ...stop]));
    case 'spam':
      return bootDisk(sayNumbered(marker, []));
    case 'tick':
      return bootDisk(sayNumbered(marker, sleepOneSecond));
  }
}
