import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { filterContainers, filterSandboxes } from '../../../src/cri/filters.ts';
import { ContainerFilterSchema, ContainerState, PodSandboxFilterSchema, PodSandboxState } from '../../../src/gen/runtime/v1/api_pb.js';
import type { Container } from '../../../src/model/container.ts';
import type { Sandbox, StringMap } from '../../../src/model/sandbox.ts';
import { containerOf, sandboxOf } from '../pods/samples.ts';

const labelled = (sandbox: Sandbox, labels: StringMap): Sandbox => ({ ...sandbox, config: { ...sandbox.config, labels } });

const sandboxes = [
  labelled(sandboxOf({ id: 'ab1' }), { app: 'x', tier: 'web' }),
  labelled(sandboxOf({ id: 'ab2', state: 'NOTREADY' }), { app: 'x' }),
  labelled(sandboxOf({ id: 'cd' }), { app: '' }),
];

describe('sandboxes', () => {
  const ids = (filter: MessageInitShape<typeof PodSandboxFilterSchema>): string[] =>
    filterSandboxes(sandboxes, create(PodSandboxFilterSchema, filter)).map(({ id }) => id.replace(/0+$/, ''));

  test.each<[string, MessageInitShape<typeof PodSandboxFilterSchema>, string[]]>([
    ['nothing is given', {}, ['ab1', 'ab2', 'cd']],
    ['an id', { id: 'ab1'.padEnd(64, '0') }, ['ab1']],
    ['a unique prefix', { id: 'c' }, ['cd']],
    ['a prefix of two', { id: 'ab' }, []],
    ['an unknown id', { id: 'ef' }, []],
    ['READY, whose number is 0', { state: { state: PodSandboxState.SANDBOX_READY } }, ['ab1', 'cd']],
    ['NOTREADY', { state: { state: PodSandboxState.SANDBOX_NOTREADY } }, ['ab2']],
    ['a label', { labelSelector: { app: 'x' } }, ['ab1', 'ab2']],
    ['two labels, both of which must match', { labelSelector: { app: 'x', tier: 'web' } }, ['ab1']],
    ['an empty value', { labelSelector: { app: '' } }, ['cd']],
    ['a label that is a name of every object', { labelSelector: { toString: 'x' } }, []],
    ['id and state that do not agree', { id: 'ab1'.padEnd(64, '0'), state: { state: PodSandboxState.SANDBOX_NOTREADY } }, []],
  ])('%s', (_what, filter, expected) => {
    expect(ids(filter)).toEqual(expected);
  });

  test('without a filter all are listed', () => {
    expect(filterSandboxes(sandboxes, undefined)).toBe(sandboxes);
  });
});

describe('containers', () => {
  const inSandbox = (container: Container, sandboxId: string): Container => ({ ...container, sandboxId: sandboxId.padEnd(64, '0') });
  const containers = [
    inSandbox(containerOf({ id: 'a1', state: 'EXITED' }), 'ab1'),
    inSandbox(containerOf({ id: 'a2', state: 'RUNNING' }), 'ab1'),
    inSandbox(containerOf({ id: 'b3', state: 'CREATED' }), 'cd'),
  ];
  const ids = (filter: MessageInitShape<typeof ContainerFilterSchema>): string[] =>
    filterContainers(containers, create(ContainerFilterSchema, filter)).map(({ id }) => id.replace(/0+$/, ''));

  test.each<[string, MessageInitShape<typeof ContainerFilterSchema>, string[]]>([
    ['nothing is given', {}, ['a1', 'a2', 'b3']],
    ['an id', { id: 'a1'.padEnd(64, '0') }, ['a1']],
    ['a unique prefix', { id: 'b' }, ['b3']],
    ['a prefix of two, also when the sandbox tells them apart', { id: 'a', podSandboxId: 'ab1' }, []],
    ['CREATED, whose number is 0', { state: { state: ContainerState.CONTAINER_CREATED } }, ['b3']],
    ['RUNNING', { state: { state: ContainerState.CONTAINER_RUNNING } }, ['a2']],
    ['a sandbox', { podSandboxId: 'ab1'.padEnd(64, '0') }, ['a1', 'a2']],
    ['a sandbox by prefix', { podSandboxId: 'a' }, ['a1', 'a2']],
    ['a sandbox and a state', { podSandboxId: 'ab1', state: { state: ContainerState.CONTAINER_EXITED } }, ['a1']],
    ['an unknown sandbox', { podSandboxId: 'ef' }, []],
    ['a label that none has', { labelSelector: { app: 'x' } }, []],
  ])('%s', (_what, filter, expected) => {
    expect(ids(filter)).toEqual(expected);
  });

  test('without a filter all are listed', () => {
    expect(filterContainers(containers, undefined)).toBe(containers);
  });
});
