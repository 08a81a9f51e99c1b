/** A source of numbers that is the same for the same seed. */
export interface Dice {
  /** An integer from 0 to `limit` - 1. */
  readonly below: (limit: number) => number;
}

/** Makes the dice of a seed (an integer of 32 bits): Mulberry32, by Tommy Ettinger, public domain. */
export function diceOf(seed: number): Dice {
  let state = seed >>> 0;
  return {
    below: (limit) => {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
    },
  };
}

/** Numbers at which readers of binary formats break: borders of 8, 16, 32, 63 and 64 bits, and of sectors and clusters. */
const borders: readonly bigint[] = [0, 7, 8, 9, 15, 16, 31, 32, 53, 54, 56, 62, 63, 64]
  .map((bits) => 2n ** BigInt(bits))
  .flatMap((power) => [power - 1n, power, power + 1n, -power])
  .concat(0n);

type Mutation = (bytes: Buffer, dice: Dice) => void;

const mutations: readonly Mutation[] = [
  (bytes, dice) => {
    const at = dice.below(bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << dice.below(8));
  },
  (bytes, dice) => {
    bytes[dice.below(bytes.length)] = dice.below(256);
  },
  (bytes, dice) => writeBorder(bytes, dice, 2),
  (bytes, dice) => writeBorder(bytes, dice, 4),
  (bytes, dice) => writeBorder(bytes, dice, 8),
  (bytes, dice) => {
    const from = dice.below(bytes.length);
    bytes.copy(bytes, dice.below(bytes.length), from, Math.min(bytes.length, from + 1 + dice.below(64)));
  },
  (bytes, dice) => {
    const from = dice.below(bytes.length);
    bytes.fill(dice.below(2) * 255, from, Math.min(bytes.length, from + 1 + dice.below(64)));
  },
];

const spotBytes = 32;

/** Where there is anything but zeros: offsets of pieces of 32 bytes. */
export function spotsOf(bytes: Buffer): readonly number[] {
  const starts = Array.from({ length: Math.ceil(bytes.length / spotBytes) }, (_, index) => index * spotBytes);
  return starts.filter((at) => bytes.subarray(at, at + spotBytes).some((byte) => byte !== 0));
}

/** Changes bytes in place, one to eight times, three of four times in one of the `spots`; cuts off their end in one of 16 cases. */
export function mutate(bytes: Buffer, spots: readonly number[], dice: Dice): Buffer {
  if (bytes.length === 0) return bytes;
  for (let left = 1 + dice.below(8); left > 0; left -= 1) {
    const spot = dice.below(4) === 0 ? undefined : spots[dice.below(spots.length)];
    const part = spot === undefined ? bytes : bytes.subarray(spot, spot + spotBytes);
    mutations[dice.below(mutations.length)]?.(part, dice);
  }
  return dice.below(16) === 0 ? bytes.subarray(0, dice.below(bytes.length)) : bytes;
}

function writeBorder(bytes: Buffer, dice: Dice, length: 2 | 4 | 8): void {
  if (bytes.length < length) return;
  const at = dice.below(bytes.length - length + 1) & -2;
  const number = BigInt.asUintN(length * 8, borders[dice.below(borders.length)] ?? 0n);
  const encoded = Buffer.alloc(8);
  encoded.writeBigUInt64BE(number);
  const written = encoded.subarray(8 - length);
  (dice.below(2) === 0 ? written : written.reverse()).copy(bytes, at);
}
