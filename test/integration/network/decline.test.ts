import { expect, it } from 'vitest';
import { waitFor } from '../../lib/wait.ts';
import { dhcpMessage, dhcpOption } from './frames.ts';
import type { Wire } from './wire.ts';
import { makeWiredPod, own } from './wired-pod.ts';

/** Types of DHCP messages (RFC 2132, 9.6). */
const [discover, offer, request, decline, ack] = [1, 2, 3, 4, 5] as const;

/** What the server said in an answer: its kind, and the client's address. */
function answerIn(frame: Buffer): readonly [type: number | undefined, ip: string] | undefined {
  const message = frame.subarray(42);
  if (frame.length < 42 + 240 || frame.readUInt16BE(36) !== 68) return undefined;
  return [message.subarray(240).indexOf(53) === 0 ? message[242] : undefined, message.subarray(16, 20).join('.')];
}

/** Sends a message and waits for the next answer. */
async function ask({ send, received }: Wire, message: Buffer): Promise<ReturnType<typeof answerIn>> {
  const before = received().length;
  send(message);
  return waitFor(
    () =>
      received()
        .slice(before)
        .map(answerIn)
        .find((answer) => answer !== undefined),
    {
      timeoutMs: 20_000,
      what: 'answer of the DHCP server',
    },
  );
}

/** As Windows and dhcpcd do when any host answers their ARP probe: its word must not leave the guest without an address. */
it('a guest that declines its address is offered it again at once', async () => {
  const { mac, guest, end } = await makeWiredPod({ antiSpoofing: true });
  const [wanted, server] = [dhcpOption.requestedAddress(own.ip), dhcpOption.server('169.254.254.254')];
  const type = dhcpOption.messageType;
  for (let round = 0; round < 2; round++) {
    expect(await ask(guest, dhcpMessage(mac, type(discover)))).toEqual([offer, own.ip]);
    expect(await ask(guest, dhcpMessage(mac, type(request), wanted, server))).toEqual([ack, own.ip]);
    guest.send(dhcpMessage(mac, wanted, server, type(decline))); // options have no order
  }
  expect(await ask(guest, dhcpMessage(mac, type(discover)))).toEqual([offer, own.ip]);
  await end();
});
