import { describe, expect, it } from 'vitest';
import { guestCounters } from '../../../../src/network/links/counters.ts';

/** /proc/net/dev as Linux 6.18 writes it; numbers that fill their column touch the colon. */
const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
  eth0: 5512345    1200    0    0    0     0          0         3   812345    1100    0    0    0     0       0          0
tabcdef0123456:123456789012  1101    1    2    0     0          0         0 5512000 1201    3    4    0     0       0          0
`;

describe('the counters of a tap', () => {
  it('are the guest’s the other way round', () => {
    expect(guestCounters(text, 'tabcdef0123456', 'eth0')).toEqual({
      name: 'eth0',
      rxBytes: 5_512_000,
      rxPackets: 1_201,
      rxErrors: 3,
      rxDropped: 4,
      txBytes: 123_456_789_012,
      txPackets: 1_101,
      txErrors: 1,
      txDropped: 2,
    });
  });

  it('are not those of an interface whose name begins so', () => {
    expect(guestCounters(text, 'tabcdef012345', 'eth0')).toBeUndefined();
    expect(guestCounters('', 'tabcdef0123456', 'eth0')).toBeUndefined();
  });
});
