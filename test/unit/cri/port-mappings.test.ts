import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { portMappingsFromProto } from '../../../src/cri/port-mappings.ts';
import { PortMappingSchema, Protocol } from '../../../src/gen/runtime/v1/api_pb.js';
import { refusal } from './requests.ts';

type Given = Exclude<MessageInitShape<typeof PortMappingSchema>, { $typeName: string }>;

const convert = (...given: readonly Given[]): unknown =>
  portMappingsFromProto(
    'config.port_mappings',
    given.map((one) => create(PortMappingSchema, { containerPort: 80, hostPort: 8080, ...one })),
  );
const taken = { protocol: 'TCP', containerPort: 80, hostPort: 8080, hostIp: '' };

test.each<readonly [string, Given, object]>([
  ['every address of the node', {}, taken],
  ['one of them', { hostIp: '192.0.2.7' }, { ...taken, hostIp: '192.0.2.7' }],
  ['one of IPv6, in its canonical form', { hostIp: '2001:DB8:0:0::7' }, { ...taken, hostIp: '2001:db8::7' }],
  ['every one of a family', { hostIp: '::' }, { ...taken, hostIp: '::' }],
  ['UDP', { protocol: Protocol.UDP }, { ...taken, protocol: 'UDP' }],
  ['SCTP', { protocol: Protocol.SCTP }, { ...taken, protocol: 'SCTP' }],
  ['the greatest ports', { containerPort: 65_535, hostPort: 65_535 }, { ...taken, containerPort: 65_535, hostPort: 65_535 }],
  ['no port of the node', { hostPort: 0 }, { ...taken, hostPort: 0 }],
])('a mapping may be on %s', (_what, given, mapping) => {
  expect(convert(given)).toEqual([mapping]);
});

test.each<readonly [Given, RegExp]>([
  [{ containerPort: 0 }, /^p\[0\]\.container_port: 0 must be a port, 1 to 65535$/],
  [{ containerPort: -1 }, /^p\[0\]\.container_port: -1 must/],
  [{ containerPort: 65_536 }, /^p\[0\]\.container_port: 65536 must/],
  [{ hostPort: -1 }, /^p\[0\]\.host_port: -1 must be a port, 0 to 65535$/],
  [{ hostPort: 65_536 }, /^p\[0\]\.host_port: 65536 must/],
  [{ protocol: 9 as Protocol }, /^p\[0\]\.protocol: 9 is unknown; accepted: TCP, UDP, SCTP$/],
  [{ hostIp: 'eth0' }, /^p\[0\]\.host_ip: "eth0" is no IP address; write one of the node's, or leave it out for all of them$/],
  [{ hostIp: '192.0.2.300' }, /^p\[0\]\.host_ip: "192\.0\.2\.300" is no IP address/],
  [{ hostIp: '192.0.2.7/24' }, /^p\[0\]\.host_ip: /],
  [{ hostIp: 'fe80::1%eth0' }, /^p\[0\]\.host_ip: /],
  [{ hostIp: ' 192.0.2.7' }, /^p\[0\]\.host_ip: /],
  [{ hostIp: '::ffff:192.0.2.7' }, /^p\[0\]\.host_ip: "::ffff:192\.0\.2\.7" is an IPv4 address; write 192\.0\.2\.7$/],
])('%j is refused', (given, message) => {
  expect(refusal(() => convert(given)).replace('config.port_mappings', 'p')).toMatch(message);
});

test('the same twice is once: a sidecar and a container may both have it', () => {
  expect(convert({}, {})).toEqual([taken]);
  expect(convert({ hostIp: '::1' }, { hostIp: '0:0::1' })).toHaveLength(1);
});

test.each<readonly [string, Given]>([
  ['protocol', { protocol: Protocol.UDP, containerPort: 53 }],
  ['address', { hostIp: '192.0.2.7', containerPort: 81 }],
  ['port', { hostPort: 8081 }],
])('two differ in their %s', (_what, second) => {
  expect(convert({}, second)).toHaveLength(2);
});

test('unpublished ports never collide', () => {
  expect(convert({ hostPort: 0 }, { hostPort: 0, containerPort: 81 })).toHaveLength(2);
});

test('one port of the node leads to one port of the pod', () => {
  expect(refusal(() => convert({ hostPort: 1 }, { hostIp: '192.0.2.7' }, { hostIp: '192.0.2.7', containerPort: 81 }))).toBe(
    'config.port_mappings[2].host_port: TCP 8080 of 192.0.2.7 already leads to container port 80; give each a port of its own',
  );
  expect(refusal(() => convert({}, { containerPort: 81 }))).toMatch(/^config\.port_mappings\[1\]\.host_port: TCP 8080 already leads to /);
  expect(refusal(() => convert({ hostIp: '::' }, { containerPort: 81 }))).toMatch(/host_port: TCP 8080 already leads to /);
  expect(refusal(() => convert({}, { hostIp: '0.0.0.0', containerPort: 81 }))).toMatch(/TCP 8080 of 0\.0\.0\.0 already leads to /);
  expect(convert({ hostIp: '0.0.0.0' }, { hostIp: '::', containerPort: 81 })).toHaveLength(2);
});
