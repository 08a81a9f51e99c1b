import { expect, test, vi } from 'vitest';
import { makeListeners } from '../../../src/libvirt/listeners.ts';

interface Told {
  readonly said: (word: string) => void;
  readonly gone: () => void;
}

test('each listener hears what it asked for, until it unsubscribes', () => {
  const listeners = makeListeners<Told>();
  const heard: string[] = [];
  const off = listeners.on('said', (word) => heard.push(`a ${word}`));
  listeners.on('said', (word) => heard.push(`b ${word}`));
  listeners.on('gone', () => heard.push('gone'));
  listeners.emit('said', '1');
  off();
  off();
  listeners.emit('said', '2');
  listeners.emit('gone');
  expect(heard).toEqual(['a 1', 'b 1', 'b 2', 'gone']);
});

test('a listener that throws does not silence the others; its error is thrown where nobody can swallow it', () => {
  const later: (() => void)[] = [];
  vi.stubGlobal('queueMicrotask', (callback: () => void) => void later.push(callback));
  const listeners = makeListeners<Told>();
  const heard: string[] = [];
  listeners.on('said', () => {
    throw new Error('mine');
  });
  listeners.on('said', (word) => heard.push(word));
  listeners.emit('said', '1');
  vi.unstubAllGlobals();
  expect(heard).toEqual(['1']);
  expect(later).toHaveLength(1);
  expect(later[0]).toThrow('mine');
});
