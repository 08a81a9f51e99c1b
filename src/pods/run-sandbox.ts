import { randomId } from '../lib/ids.ts';
import { makeCleanupStack } from '../lib/cleanup-stack.ts';
import { VmletError } from '../model/errors.ts';
import type { Sandbox, SandboxConfig } from '../model/sandbox.ts';
import { parseAnnotations } from './annotations.ts';
import type { PodsContext } from './context.ts';

/** RunPodSandbox: record, netns and CNI, READY. What cannot be undone after a failure stays as a NOTREADY record, for the kubelet to remove. */
export async function runSandbox(context: PodsContext, config: SandboxConfig, signal: AbortSignal): Promise<string> {
  parseAnnotations(config.annotations); // a mistake there should show now, not when the VM is created
  const existing = context.store.sandboxByKey(config.metadata);
  if (existing?.state === 'READY') return existing.id;
  if (existing) {
    const facts = { code: 'WRONG_STATE', kind: 'sandbox', id: existing.id, state: existing.state } as const;
    throw new VmletError(facts, `a sandbox of the same name, namespace, uid and attempt exists and is ${existing.state}: ${existing.id}`);
  }
  return create(context, config, signal);
}

async function create(context: PodsContext, config: SandboxConfig, signal: AbortSignal): Promise<string> {
  const { store, network, clock, log } = context;
  const { metadata, hostname, dns, portMappings, annotations } = config;
  const sandbox: Sandbox = { id: randomId(), config, state: 'CREATING', createdAtNs: clock.nowNs(), ips: [] };
  const undo = makeCleanupStack();
  await store.sandboxes.put(sandbox.id, sandbox);
  undo.add('forget the sandbox', async () => store.sandboxes.remove(sandbox.id));
  try {
    undo.add('release the network', async (fresh) => network.detach(sandbox.id, fresh));
    const attachment = await network.attach({ sandboxId: sandbox.id, metadata, hostname, dns, portMappings, annotations }, signal);
    await store.sandboxes.put(sandbox.id, { ...sandbox, state: 'READY', ips: attachment.ips });
  } catch (error) {
    const failures = await undo.unwind();
    if (failures.length > 0) {
      log.error({ sandboxId: sandbox.id, failures }, 'sandbox could not be undone, it stays NOTREADY');
      await store.sandboxes.put(sandbox.id, { ...sandbox, state: 'NOTREADY' });
    }
    throw error;
  }
  log.info({ sandboxId: sandbox.id, pod: metadata.name, namespace: metadata.namespace }, 'sandbox ready');
  return sandbox.id;
}
