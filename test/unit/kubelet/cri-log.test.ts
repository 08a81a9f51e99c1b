import { describe, expect, it } from 'vitest';
import { joinLines, parseLog } from '../../kubelet/kubelet.ts';

const at = '2026-11-22T09:50:00.123456789Z';

describe('parseLog', () => {
  it('joins parts and leaves out a line that is being written', () => {
    const entries = parseLog(`${at} stdout P one \n${at} stdout F two\n${at} stderr F \n${at} stdout F half`);
    expect(joinLines(entries)).toEqual(['one two', '']);
    expect(entries[2]).toEqual({ time: at, stream: 'stderr', full: true, text: '' });
  });

  it('takes further tags and keeps spaces and control characters', () => {
    expect(parseLog(`${at} stdout F:x:y  a\tb\u001B[0m \n`)[0]?.text).toBe(' a\tb\u001B[0m ');
  });

  it.each([
    ['no text field', `${at} stdout F`],
    ['microseconds', '2026-11-22T09:50:00.123456Z stdout F x'],
    ['an unknown stream', `${at} console F x`],
    ['an unknown tag', `${at} stdout X x`],
    ['an empty line', ''],
  ])('refuses %s and names the line', (_what, line) => {
    expect(() => parseLog(`${at} stdout F fine\n${line}\n`)).toThrow('line 2');
  });
});
