import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compareAnswers } from '../../replay/compare.ts';
import { expectedCodes } from '../../replay/expectation.ts';
import { textAt, valueAt } from '../../replay/json.ts';
import { findOwnEnds } from '../../replay/own-ends.ts';
import { phases, type PhaseName } from '../../replay/phases.ts';
import { readFields } from '../../replay/read-fields.ts';
import { fullAnswer, methodOf, readPhase } from '../../replay/recording.ts';

const nobodyEnds = { endsByItself: () => false };
const names = Object.keys(phases) as PhaseName[];

describe('paths', () => {
  const from = {
    a: {
      b: [
        { key: 'x.y', value: '1' },
        { key: 'z', value: '2' },
      ],
    },
  };
  it.each([
    ['a.b[0].value', '1'],
    ['a.b[key=z].value', '2'],
    ['a.b[key=x.y].value', '1'],
    ['a.b[key=w].value', ''],
    ['a.c.d', ''],
  ])('%s', (path, value) => expect(textAt(from, path)).toBe(value));
});

describe('what is demanded of a field', () => {
  it.each([
    ['same', 'a', 'b', false],
    ['same', undefined, '0', true],
    ['set', '', 'b', true],
    ['set', 'a', '', false],
    ['alike', '0', '7', false],
    ['alike', '3', '137', true],
    ['if recorded', 'a', '', false],
    ['if recorded', '', 'b', true],
    ['present', '1', '0', true],
    ['present', '1', undefined, false],
  ] as const)('%s: recorded %s, ours %s', (demand, recorded, ours, agrees) => {
    const answer = (value: string | undefined): Record<string, string> => (value === undefined ? {} : { field: value });
    const found = compareAnswers({ fields: { field: demand } }, answer(recorded), answer(ours), nobodyEnds);
    expect(found).toHaveLength(agrees ? 0 : 1);
  });

  it('lists: an item that is missing, one beside, one that differs', () => {
    const read = { items: { list: 'items', key: 'id', fields: { state: 'same' }, exact: true } } as const;
    const list = (...states: readonly string[]) => ({ items: states.map((text) => ({ id: text.slice(0, 1), state: text.slice(1) })) });
    expect(compareAnswers(read, list('aX', 'bX'), list('bY', 'cX'), nobodyEnds)).toEqual([
      'items lacks a',
      'items b: state (same): recorded "X", ours "Y"',
      'items has c beside',
    ]);
  });

  it('a container that ends by itself may have ended already, no other', () => {
    const status = (state: string, reason: string) => ({ status: { id: 'c', state, reason, log_path: '/log' } });
    const read = { fields: { 'status.state': 'same', 'status.reason': 'same', 'status.log_path': 'same' } } as const;
    const [running, exited] = [status('CONTAINER_RUNNING', ''), status('CONTAINER_EXITED', 'Completed')];
    expect(compareAnswers(read, running, exited, { endsByItself: (id) => id === 'c' })).toEqual([]);
    expect(compareAnswers(read, running, exited, nobodyEnds)).toHaveLength(2);
    expect(compareAnswers(read, exited, running, { endsByItself: () => true })).toHaveLength(2);
  });
});

describe('the recording', () => {
  it('has a file for each phase of the table', () => {
    const dir = join(import.meta.dirname, '..', '..', 'fixtures', 'kubelet-traffic');
    const files = readdirSync(dir).filter((file) => file.endsWith('.jsonl'));
    expect(files.toSorted()).toEqual(names.map((name) => `${name}.jsonl`).toSorted());
  });

  it.each(names)('%s: agrees with itself in every field that a kubelet reads', (name) => {
    for (const { method, response, error } of readPhase(name).calls) {
      if (error !== undefined || response === undefined) continue;
      const answer = fullAnswer(methodOf(method), response);
      const read = readFields[method] ?? {};
      const found = compareAnswers(read, answer, answer, nobodyEnds);
      // containerd's lists carry labels, annotations and image ids that the fixture or containerd itself leaves out
      expect(found.filter((line) => !/labels|annotations|image_id|image_ref|writable_layer|^stats/.test(line))).toEqual([]);
    }
  });

  it('init ends by itself with success, the crashing container with failure, main not', () => {
    const ends = findOwnEnds([...readPhase('pod-create').calls, ...readPhase('pod-delete').calls, ...readPhase('crash-loop').calls]);
    const made = readPhase('pod-create').calls.filter(({ method }) => method === 'CreateContainer');
    const idOf = (container: string): string =>
      textAt(made.find(({ request }) => textAt(request, 'config.metadata.name') === container)?.response, 'container_id');
    expect([ends.get(idOf('init')), ends.get(idOf('main'))]).toEqual(['success', undefined]);
    expect([...ends.values()].filter((end) => end === 'failure')).toHaveLength(4);
  });

  it('what is not built is expected to be UNIMPLEMENTED, what containerd lacks and vmlet has is expected to succeed', () => {
    const request = {};
    expect(expectedCodes({ seq: 1, method: 'CheckpointContainer', request })).toEqual(['UNIMPLEMENTED']);
    expect(expectedCodes({ seq: 1, method: 'StreamImages', request, error: 'UNIMPLEMENTED' })).toEqual(['OK']);
    expect(expectedCodes({ seq: 1, method: 'ContainerStatus', request, error: 'NOT_FOUND' })).toEqual(['NOT_FOUND']);
    expect(valueAt(request, 'nothing')).toBeUndefined();
  });
});
