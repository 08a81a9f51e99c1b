/** A hole in a file has whole blocks of the file system; most have 4 KiB, and small holes make many extents. */
export const stretchBytes = 65_536;

const zeros = Buffer.alloc(stretchBytes);

/** Where `bytes` hold anything but zeros: ranges from (included) to (excluded), in whole stretches of 64 KiB but for the last. */
export function dataRuns(bytes: Buffer): readonly (readonly [number, number])[] {
  const runs: [number, number][] = [];
  for (let at = 0; at < bytes.length; at += stretchBytes) {
    const end = Math.min(at + stretchBytes, bytes.length);
    if (bytes.subarray(at, end).equals(end - at === stretchBytes ? zeros : zeros.subarray(0, end - at))) continue;
    const last = runs.at(-1);
    if (last?.[1] === at) last[1] = end;
    else runs.push([at, end]);
  }
  return runs;
}
