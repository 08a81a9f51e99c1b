import { statSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '@bufbuild/protobuf';
import { containerStatus, removeAllPods } from '../kubelet/kubelet.ts';
import { bootMarker } from '../../images/bootsector/sectors.ts';
import { startNode, type TestNode } from '../node/node.ts';
import { changes } from '../replay/for-vms.ts';
import { textAt } from '../replay/json.ts';
import { gated, phases, story, type PhaseName } from '../replay/phases.ts';
import { readPhase } from '../replay/recording.ts';
import { makeReplay, type Replay } from '../replay/replay.ts';
import { bootImage, bootImages, untilLogged } from './guests.ts';

const recordedImages = {
  busybox: 'registry.k8s.io/lab/busybox:1',
  web: 'registry.k8s.io/lab/web:1',
  absent: 'registry.k8s.io/lab/absent:1',
};

const describePhase = (phase: PhaseName): string => {
  const { what, played, ...rest } = phases[phase];
  return `${phase}, ${played}: ${what}${'why' in rest ? ` (${rest.why})` : ''}`;
};

describe(`a recorded kubelet; changed in CreateContainer: ${changes.map(({ what, why }) => `${what} (${why})`).join('; ')}`, () => {
  const boot = bootImages('acpi', 'tick', 'off', 'panic');
  let node: TestNode;
  let replay: Replay;

  const pull = async (image: string): Promise<string> => (await node.kubelet.client.image.pullImage({ image: { image } })).imageRef;
  const expectAgreement = async (phase: PhaseName): Promise<void> => {
    const { differences, made, leftOut } = await replay.play(phase);
    expect(differences).toEqual([]);
    expect(made.length + leftOut.length).toBe(readPhase(phase).calls.length);
    expect(made.length).toBeGreaterThan(leftOut.length);
    if (phases[phase].played === 'whole') expect(leftOut).toEqual([]);
  };

  beforeAll(async () => {
    const [acpi, tick, ...others] = boot.images;
    if (!acpi || !tick) throw new Error('no guests');
    node = await startNode({
      images: [{ ...acpi, name: recordedImages.busybox }, { ...tick, name: recordedImages.web }, ...others],
      sources: (server) => [{ name: recordedImages.absent, url: `${server.origin}/absent` }],
    });
  });
  afterAll(async () => {
    await node.stop();
    boot[Symbol.dispose]();
  });

  describe('on one node, from its start to a kubelet’s restart', () => {
    beforeAll(async () => {
      const guests = { success: await pull(bootImage('off')), failure: await pull(bootImage('panic')) };
      replay = makeReplay({ kubelet: node.kubelet, phases: story, guests });
      const [stopped] = readPhase('startup').calls.filter(({ method }) => method === 'PodSandboxStatus');
      await replay.makeStopped((stopped?.response?.['status'] ?? {}) as JsonObject);
    });

    it.each(story.map((phase) => [describePhase(phase), phase] as const))('%s', async (_, phase) => {
      if (phase === 'debug-container') await resize(replay);
      await expectAgreement(phase);
      if (phase === 'startup') await expectImageFs(node);
      if (phase === 'logs') await expectLog(node, replay);
    });

    it('and `web`, beside the main container that runs: FAILED_PRECONDITION, and why', async () => {
      const { calls } = readPhase('before-kubelet-restart');
      const web = calls.find(({ method, request }) => method === 'CreateContainer' && textAt(request, 'config.metadata.name') === 'web');
      if (!web) throw new Error('web is not in the recording');
      expect(await replay.send(web)).toMatchObject({ code: 'FAILED_PRECONDITION', text: expect.stringMatching(/one VM.*main/) as string });
    });

    it('leaves nothing behind but the pod that runs at its end', async () => {
      await removeAllPods(node.kubelet);
      expect(await node.leftovers()).toEqual([]);
    });
  });

  describe('with feature gates', () => {
    beforeAll(async () => {
      const { image } = node.kubelet.client;
      for (const name of [recordedImages.busybox, recordedImages.web]) await image.removeImage({ image: { image: name } });
      const guests = { success: await pull(bootImage('off')), failure: await pull(bootImage('panic')) };
      replay = makeReplay({ kubelet: node.kubelet, phases: gated, guests });
    });

    it.each(gated.map((phase) => [describePhase(phase), phase] as const))('%s', async (_, phase) => expectAgreement(phase));

    it('leaves nothing behind but two stopped pods', async () => {
      await removeAllPods(node.kubelet);
      expect(await node.leftovers()).toEqual([]);
    });
  });

  it('finds no error worth a line in the log', () => {
    expect(node.logTail(10_000)).not.toMatch(/"level":"error"/);
  });
});

/** Between two phases the recorded pod was resized in place; that was cut out, its outcome is in the statuses that follow. */
async function resize(replay: Replay): Promise<void> {
  const [stop] = readPhase('pod-delete').calls.filter(({ method }) => method === 'StopContainer');
  const linux = { cpu_period: '100000', cpu_quota: '30000', cpu_shares: '153', memory_limit_in_bytes: String(64 * 2 ** 20) };
  const request = { container_id: textAt(stop?.request, 'container_id'), linux };
  expect(await replay.send({ method: 'UpdateContainerResources', request })).toMatchObject({ code: 'OK' });
}

/** A kubelet calls stat(2) on the image file system's mount point. */
async function expectImageFs({ kubelet }: TestNode): Promise<void> {
  const { imageFilesystems } = await kubelet.client.image.imageFsInfo({});
  expect(statSync(imageFilesystems[0]?.fsId?.mountpoint ?? '').isDirectory()).toBe(true);
}

/** `kubectl logs` reads the file that ContainerStatus names. */
async function expectLog({ kubelet }: TestNode, replay: Replay): Promise<void> {
  const [asked] = readPhase('logs').calls.filter(({ method }) => method === 'ContainerStatus');
  const { logPath } = await containerStatus(kubelet, replay.idOf(textAt(asked?.request, 'container_id')));
  expect(await untilLogged(logPath, /./, 60_000)).toContain(bootMarker('acpi'));
}
