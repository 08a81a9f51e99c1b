import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { containerToProto } from '../../../src/cri/container-answer.ts';
import { makeEncodedItems } from '../../../src/cri/encoded-items.ts';
import {
  ContainerSchema,
  ImageService,
  ListContainersResponseSchema,
  RuntimeService,
  StreamContainersResponseSchema,
} from '../../../src/gen/runtime/v1/api_pb.js';
import type { Container } from '../../../src/model/container.ts';
import { containerOf } from '../pods/samples.ts';

const { listContainers, streamContainers } = RuntimeService.method;
const methods = [listContainers, streamContainers];

function containers(count: number, annotationBytes = 0): readonly Container[] {
  return Array.from({ length: count }, (_, index) => {
    const one = containerOf({ id: String(index).padStart(64, '0') });
    return { ...one, config: { ...one.config, annotations: { big: 'x'.repeat(annotationBytes) } } };
  });
}

describe('encoded items', () => {
  it('join to the very answer that the message would be', () => {
    const items = makeEncodedItems<typeof ContainerSchema, Container>(methods, ContainerSchema, containerToProto);
    for (const some of [containers(0), containers(1), containers(3, 200), containers(2, 40_000)]) {
      const whole = toBinary(
        ListContainersResponseSchema,
        create(ListContainersResponseSchema, { containers: some.map(containerToProto) }),
      );
      expect(Buffer.from(items.join(some)).equals(whole)).toBe(true);
    }
  });

  it('are encoded once, and anew when the record is replaced', () => {
    let encoded = 0;
    const items = makeEncodedItems<typeof ContainerSchema, Container>(methods, ContainerSchema, (container) => {
      encoded += 1;
      return containerToProto(container);
    });
    const [one = containerOf({})] = containers(1);
    items.join([one]);
    items.join([one]);
    expect(encoded).toBe(1);
    const [ended] = fromBinary(ListContainersResponseSchema, items.join([{ ...one, state: 'EXITED' }])).containers;
    expect([encoded, ended?.state]).toEqual([2, containerToProto({ ...one, state: 'EXITED' }).state]);
  });

  it('go out in pieces of at most 1 MiB, none empty, none twice', () => {
    const items = makeEncodedItems<typeof ContainerSchema, Container>(methods, ContainerSchema, containerToProto);
    const some = [...containers(30, 100_000), ...containers(1, 2_000_000)];
    const chunks = [...items.chunks(some)];
    expect(chunks.length).toBeGreaterThan(3);
    expect(chunks.slice(0, -1).every(({ length }) => length > 0 && length <= 2 ** 20)).toBe(true);
    const received = chunks.flatMap((chunk) => fromBinary(StreamContainersResponseSchema, chunk).containers);
    expect(received.map(({ id }) => id)).toEqual(some.map(({ id }) => id));
    expect([...items.chunks([])]).toEqual([]);
  });

  it('refuse a method whose answer does not carry them', () => {
    const wrong = [...methods, ImageService.method.listImages];
    expect(() => makeEncodedItems<typeof ContainerSchema, Container>(wrong, ContainerSchema, containerToProto)).toThrow(
      /runtime\.v1\.Container/,
    );
  });
});
