import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import type { KubeletSettings } from '../kubelet/kubelet.ts';
import { memory, memoryFields } from './for-vms.ts';
import { isObject } from './json.ts';

/** Turns what was recorded into what holds on our node: ids that answers have told, the kubelet's directories, and memory. */
export interface Translation {
  /** Notes what our runtime calls a recorded object. */
  readonly learn: (recorded: string, ours: string) => void;
  /** Our id of a recorded one; `undefined` when no answer has told it. */
  readonly ours: (recorded: string) => string | undefined;
  readonly translate: <T extends JsonValue>(recorded: T) => T;
}

/** Where the recorded kubelet had its files and cgroups. */
const recordedPaths = { logRoot: '/var/log/pods/', rootDir: '/var/lib/kubelet/', cgroupRoot: '/kubepods/' } as const;

/** Makes a translation that knows no id yet. */
export function makeTranslation(settings: KubeletSettings): Translation {
  const ids = new Map<string, string>();

  function text(recorded: string): string {
    for (const key of ['logRoot', 'rootDir', 'cgroupRoot'] as const) {
      const path = recordedPaths[key];
      if (recorded.startsWith(path)) return `${settings[key]}/${recorded.slice(path.length)}`;
    }
    return ids.get(recorded) ?? recorded;
  }

  function value(recorded: JsonValue): JsonValue {
    if (typeof recorded === 'string') return text(recorded);
    if (Array.isArray(recorded)) return recorded.map(value);
    return isObject(recorded) ? object(recorded) : recorded;
  }

  function object(recorded: JsonObject): JsonObject {
    const entries = Object.entries(recorded).map(([name, one]) => [
      name,
      typeof one === 'string' && memoryFields.includes(name) ? (memory[one] ?? one) : value(one),
    ]);
    return Object.fromEntries(entries) as JsonObject;
  }

  return {
    learn: (recorded, ours) => void ids.set(recorded, ours),
    ours: (recorded) => ids.get(recorded),
    translate: <T extends JsonValue>(recorded: T) => value(recorded) as T,
  };
}
