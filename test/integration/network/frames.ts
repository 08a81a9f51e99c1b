import ipaddr from 'ipaddr.js';

/** Frames of Ethernet and what is in them, as bytes: whatever a guest could say, well-formed or not. */

export interface Ends {
  readonly from: string;
  readonly to: string;
}

export const broadcast = 'ff:ff:ff:ff:ff:ff';
export const allNodes = { mac: '33:33:00:00:00:01', ip: 'ff02::1' };

export function ethernet({ from, to }: Ends, type: number, payload: Buffer): Buffer {
  return Buffer.concat([macBytes(to), macBytes(from), short(type), payload]);
}

/** The frame behind a VLAN tag; `type` tells a tag of a customer from one of a provider (802.1Q, 802.1ad). */
export function tagged(frame: Buffer, vlan: number, type = 0x8100): Buffer {
  return Buffer.concat([frame.subarray(0, 12), short(type), short(vlan), frame.subarray(12)]);
}

interface Arp {
  readonly operation: 1 | 2;
  readonly mac: string;
  readonly ip: string;
  readonly target: string;
  /** Length of a hardware address, bytes; 6 is Ethernet's. */
  readonly hardwareBytes?: number;
}

/** An ARP message (RFC 826) to everybody. */
export function arp({ operation, mac, ip, target, hardwareBytes = 6 }: Arp): Buffer {
  const header = [short(1), short(0x0800), Buffer.of(hardwareBytes, 4), short(operation)];
  const body = Buffer.concat([...header, macBytes(mac), ipBytes(ip), Buffer.alloc(6), ipBytes(target)]);
  return ethernet({ from: mac, to: broadcast }, 0x0806, body);
}

/** UDP without its checksum, as it may be (RFC 768). */
export function udp(from: number, to: number, payload = Buffer.from('hello')): Buffer {
  return Buffer.concat([short(from), short(to), short(8 + payload.length), short(0), payload]);
}

/** An IPv4 packet with its header's checksum (RFC 791), of UDP if not told otherwise. */
export function ipv4({ from, to }: Ends, payload: Buffer, protocol = 17): Buffer {
  const header = Buffer.concat([
    Buffer.of(0x45, 0),
    short(20 + payload.length),
    Buffer.of(0, 7, 0, 0, 64, protocol, 0, 0),
    ipBytes(from),
    ipBytes(to),
  ]);
  let sum = 0;
  for (let at = 0; at < header.length; at += 2) sum += header.readUInt16BE(at);
  header.writeUInt16BE(~((sum & 0xffff) + (sum >> 16)) & 0xffff, 10);
  return Buffer.concat([header, payload]);
}

/** A DHCP message of a client (RFC 2131), which asks for answers to everybody. */
export function dhcpMessage(mac: string, ...options: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(240);
  header.set([1, 1, 6]);
  header.writeUInt16BE(0x8000, 10);
  header.set(macBytes(mac), 28);
  header.writeUInt32BE(0x63825363, 236);
  const packet = ipv4({ from: '0.0.0.0', to: '255.255.255.255' }, udp(68, 67, Buffer.concat([header, ...options, Buffer.of(255)])));
  return ethernet({ from: mac, to: broadcast }, 0x0800, packet);
}

/** Options of DHCP (RFC 2132). */
export const dhcpOption = {
  requestedAddress: (ip: string): Buffer => Buffer.concat([Buffer.of(50, 4), ipBytes(ip)]),
  messageType: (type: number): Buffer => Buffer.of(53, 1, type),
  server: (ip: string): Buffer => Buffer.concat([Buffer.of(54, 4), ipBytes(ip)]),
};

/** Numbers of IPv6's next header. */
export const next = { hopByHop: 0, udp: 17, fragment: 44, icmp: 58, destination: 60 };

export function ipv6({ from, to }: Ends, nextHeader: number, payload: Buffer): Buffer {
  const header = Buffer.concat([Buffer.of(0x60, 0, 0, 0), short(payload.length), Buffer.of(nextHeader, 255)]);
  return Buffer.concat([header, ipBytes(from), ipBytes(to), payload]);
}

/** An extension header of options that say nothing (RFC 8200, 4.2), of 32 bytes: as long as the first fragment of `fragments`. */
export function padding(nextHeader: number, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.of(nextHeader, 3, 1, 28), Buffer.alloc(28), payload]);
}

/** A payload in two fragments, of which the first has 32 bytes. */
export function fragments(nextHeader: number, payload: Buffer, id = 77): readonly [Buffer, Buffer] {
  const header = (offsetAndMore: number): Buffer => Buffer.concat([Buffer.of(nextHeader, 0), short(offsetAndMore), Buffer.of(0, 0, 0, id)]);
  return [Buffer.concat([header(1), payload.subarray(0, 32)]), Buffer.concat([header(32), payload.subarray(32)])];
}

/** A report of groups of multicast (RFC 3376) that names none. */
export const igmpReport = Buffer.of(0x22, 0, 0xdd, 0xff, 0, 0, 0, 0);

/** ICMPv6 messages of neighbour discovery (RFC 4861), without their checksum: nobody on the way looks at it. */
export const discovery = {
  routerSolicit: (...options: readonly Buffer[]): Buffer => icmp(133, Buffer.alloc(4), ...options),
  routerAdvert: (...options: readonly Buffer[]): Buffer => icmp(134, Buffer.of(64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0), ...options),
  neighbourSolicit: (target: string, ...options: readonly Buffer[]): Buffer => icmp(135, Buffer.alloc(4), ipBytes(target), ...options),
  neighbourAdvert: (target: string, ...options: readonly Buffer[]): Buffer =>
    icmp(136, Buffer.of(0x20, 0, 0, 0), ipBytes(target), ...options),
  redirect: (target: string): Buffer => icmp(137, Buffer.alloc(4), ipBytes(target), ipBytes(target)),
};

/** Options of neighbour discovery. */
export const option = {
  source: (mac: string): Buffer => Buffer.concat([Buffer.of(1, 1), macBytes(mac)]),
  target: (mac: string): Buffer => Buffer.concat([Buffer.of(2, 1), macBytes(mac)]),
  nonce: Buffer.concat([Buffer.of(14, 1), Buffer.from('abcdef')]),
};

/** A report of multicast listeners behind a router alert (RFC 3810), as every IPv6 host sends them. */
export const listenerReport = Buffer.concat([Buffer.of(next.icmp, 0, 5, 2, 0, 0, 1, 0), icmp(143, Buffer.of(0, 0, 0, 0))]);

function icmp(type: number, ...parts: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.of(type, 0, 0, 0), ...parts]);
}

function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex');
}

function ipBytes(address: string): Buffer {
  return Buffer.from(ipaddr.parse(address).toByteArray());
}

function short(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}
