import { isDeepStrictEqual } from 'node:util';
import type { JsonObject } from '@bufbuild/protobuf';
import { readLog, type Kubelet } from '../kubelet/kubelet.ts';
import { waitFor } from '../lib/wait.ts';
import { compareAnswers } from './compare.ts';
import { compareEvents, openEventStream, type EventStream } from './event-stream.ts';
import { expectedCodes } from './expectation.ts';
import { forVm } from './for-vms.ts';
import { bothLists, invoke, type Outcome } from './invoke.ts';
import { isObject, listOf, textAt, valueAt } from './json.ts';
import { findOwnEnds, type OwnEnd } from './own-ends.ts';
import type { PhaseName } from './phases.ts';
import { makePodFiles } from './pod-files.ts';
import { readFields } from './read-fields.ts';
import { fullAnswer, methodOf, readPhase, type RecordedCall, type RecordedEvent } from './recording.ts';
import { makeTranslation } from './translation.ts';

/** Who plays, and with which guests. */
export interface ReplayOptions {
  readonly kubelet: Kubelet;
  /** The phases that will be played, in their order. */
  readonly phases: readonly PhaseName[];
  /** Image ids of guests for containers that end by themselves. All others get what the recorded image's name leads to. */
  readonly guests: Readonly<Record<OwnEnd, string>>;
}

/** What came of a phase. */
export interface PlayedPhase {
  /** Where codes, fields or events were not as they should be, one line each. */
  readonly differences: readonly string[];
  /** Methods of the calls that were made, and of those that were left out. */
  readonly made: readonly string[];
  readonly leftOut: readonly string[];
}

/** Plays a recorded kubelet. */
export interface Replay {
  /** Makes a pod that the recorded node had before, stopped; as PodSandboxStatus told of it. */
  readonly makeStopped: (recordedStatus: JsonObject) => Promise<void>;
  readonly play: (phase: PhaseName) => Promise<PlayedPhase>;
  /** Makes one call beside the phases, recorded or not; its ids are recorded ones. */
  readonly send: (call: Omit<RecordedCall, 'seq'>) => Promise<Outcome>;
  /** Our id of a recorded object. Throws when it was never made. */
  readonly idOf: (recorded: string) => string;
}

/** How long a state that was recorded may take to come about here. */
const settleMs = 30_000;

/** Makes a player for phases on one node. Calls are made in the recorded order, with the recorded deadlines; reads wait until states have come about. */
export function makeReplay({ kubelet, phases, guests }: ReplayOptions): Replay {
  const { client, settings } = kubelet;
  const recordings = new Map(phases.map((phase) => [phase, readPhase(phase)]));
  const ownEnds = findOwnEnds([...recordings.values()].flatMap(({ calls }) => calls));
  const translation = makeTranslation(settings);
  const files = makePodFiles();
  const sandboxConfigs = new Map<string, JsonObject>();
  const leftOut = new Set<string>();
  const endsByItself = (id: string): boolean => [...ownEnds.keys()].some((recorded) => translation.ours(recorded) === id);

  const idUnlessLeftOut = (recorded: string): string | undefined => (leftOut.has(recorded) ? undefined : translation.ours(recorded));

  function isLeftOut({ method, request, response = {} }: RecordedCall): boolean {
    if (method === 'CreateContainer' && textAt(request, 'config.metadata.name') === 'web') leftOut.add(textAt(response, 'container_id'));
    return leftOut.has(textAt(request, 'container_id')) || leftOut.has(textAt(response, 'container_id'));
  }

  /** The request that a VM can be asked for, in our ids. */
  function requestOf({ method, request, response = {} }: Omit<RecordedCall, 'seq'>): JsonObject {
    const changed = { ...request };
    const { config } = request;
    const brief = request['sandbox_config'];
    if (method === 'RunPodSandbox' && isObject(config)) sandboxConfigs.set(textAt(config, 'metadata.uid'), config);
    if (isObject(brief) && !('linux' in brief)) changed['sandbox_config'] = sandboxConfigs.get(textAt(brief, 'metadata.uid')) ?? brief;
    if (method === 'CreateContainer' && isObject(config) && isObject(config['image'])) {
      const isRefused = textAt(config, 'command[0]') === '/no/such/command';
      const end = ownEnds.get(textAt(response, 'container_id'));
      const image = { ...config['image'], ...(end ? { image: guests[end] } : {}) };
      changed['config'] = { ...(isRefused ? config : forVm(config)), image };
    }
    return translation.translate(changed);
  }

  function learn({ method, response = {} }: RecordedCall, answer: JsonObject): void {
    const paths = { RunPodSandbox: 'pod_sandbox_id', CreateContainer: 'container_id', PullImage: 'image_ref', ImageStatus: 'image.id' };
    const path = Object.entries(paths).find(([name]) => name === method)?.[1];
    if (path === undefined) return;
    const [recorded, ours] = [textAt(response, path), textAt(answer, path)];
    if (recorded !== '' && ours !== '') translation.learn(recorded, ours);
  }

  /** The recorded answer as ours should be: in our ids, without what was never made. */
  function expectedAnswer({ method, response = {} }: RecordedCall): JsonObject {
    const list = readFields[method]?.items;
    const answer = { ...fullAnswer(methodOf(method), response) };
    if (list && list.key !== 'type') {
      answer[list.list] = listOf(answer[list.list]).filter((item) => {
        const id = textAt(item, list.key);
        const isThere = list.where === undefined || valueAt(item, list.where) !== undefined;
        return isThere && !leftOut.has(id) && (list.exact || translation.ours(id) !== undefined);
      });
    }
    return translation.translate(answer);
  }

  function differencesOf(recorded: RecordedCall, { code, answer, text }: Outcome): string[] {
    const codes = expectedCodes(recorded);
    if (!codes.includes(code)) return [`${code} instead of ${codes.join(' or ')}${text === '' ? '' : `: ${text}`}`];
    if (code !== 'OK' || recorded.error !== undefined) return [];
    return compareAnswers(readFields[recorded.method] ?? {}, expectedAnswer(recorded), answer, { endsByItself });
  }

  async function playCall(recorded: RecordedCall, patienceMs: number): Promise<string[]> {
    const method = methodOf(recorded.method);
    const request = requestOf(recorded);
    await files.before(method.name, request);
    if (method.name === 'StopContainer') await untilGuestRuns(textAt(request, 'container_id'));
    const attempt = async (): Promise<string[]> => {
      const outcome = await invoke(client, method, request, recorded.deadlineSeconds);
      learn(recorded, outcome.answer);
      if (method.name === 'CreateContainer' && outcome.code !== 'OK') leftOut.add(textAt(recorded.response ?? {}, 'container_id'));
      if (outcome.code === 'OK') await files.after(method.name, request, outcome.answer);
      return differencesOf(recorded, outcome);
    };
    let differences = await attempt();
    if (differences.length === 0 || !/^List|Status$/.test(method.name)) return differences;
    const settled = async (): Promise<boolean> => {
      differences = await attempt();
      return differences.length === 0;
    };
    await waitFor(settled, { timeoutMs: patienceMs, what: 'agreement' }).catch(() => undefined);
    return differences;
  }

  /** The recorded containers were seconds old when they were stopped; a guest that does not run yet sees no power button. */
  async function untilGuestRuns(containerId: string): Promise<void> {
    const { status } = await client.runtime.containerStatus({ containerId });
    const hasLogged = async (): Promise<boolean> => (await readLog(status?.logPath ?? '')).length > 0;
    await waitFor(hasLogged, { timeoutMs: settleMs, what: `line in ${status?.logPath}` });
  }

  /** A kubelet that asks for a list as a stream gets the same items as from the unary call. */
  async function playStream({ method }: RecordedCall): Promise<string[]> {
    const { streamed, listed } = await bothLists(client, method);
    return isDeepStrictEqual(streamed, listed) ? [] : [`streamed ${JSON.stringify(streamed)}, listed ${JSON.stringify(listed)}`];
  }

  /** The events of one phase, as they were recorded up to some line. */
  function makePlayedEvents() {
    const recorded = new Map<string, string[]>();
    let stream: EventStream | undefined;
    return {
      open: () => {
        stream = openEventStream(client);
      },
      expect: async ({ event }: RecordedEvent, patienceMs: number): Promise<string[]> => {
        const id = idUnlessLeftOut(textAt(event, 'container_id'));
        if (id === undefined) return [];
        const types = [...(recorded.get(id) ?? []), textAt(event, 'container_event_type')];
        recorded.set(id, types);
        return stream ? compareEvents(stream, id, types, patienceMs) : ['events were recorded before GetContainerEvents'];
      },
      [Symbol.asyncDispose]: async () => stream?.close(),
    };
  }

  return {
    makeStopped: async (recordedStatus) => {
      const { metadata = null, labels = null, annotations = null } = recordedStatus;
      const made = await invoke(client, methodOf('RunPodSandbox'), { config: { metadata, labels, annotations } });
      if (made.code !== 'OK') throw new Error(`the stopped pod could not be made: ${made.text}`);
      const id = textAt(made.answer, 'pod_sandbox_id');
      await invoke(client, methodOf('StopPodSandbox'), { pod_sandbox_id: id });
      translation.learn(textAt(recordedStatus, 'id'), id);
    },
    play: async (phase) => {
      const differences: string[] = [];
      const [made, out]: [string[], string[]] = [[], []];
      await using events = makePlayedEvents();
      for (const line of recordings.get(phase)?.lines ?? []) {
        const patienceMs = differences.length === 0 ? settleMs : 5_000;
        if ('event' in line) {
          differences.push(...(await events.expect(line, patienceMs)));
          continue;
        }
        const { seq, method } = line;
        if (isLeftOut(line)) {
          out.push(method);
          continue;
        }
        made.push(method);
        if (method === 'GetContainerEvents') {
          events.open();
          continue;
        }
        const found = await (method.startsWith('Stream') ? playStream(line) : playCall(line, patienceMs));
        differences.push(...found.map((one) => `${seq} ${method}: ${one}`));
      }
      return { differences, made, leftOut: out };
    },
    send: async (recorded) => invoke(client, methodOf(recorded.method), requestOf(recorded), recorded.deadlineSeconds),
    idOf: (recorded) => {
      const id = translation.ours(recorded);
      if (id === undefined) throw new Error(`nothing was made in the place of ${recorded}`);
      return id;
    },
  };
}
