import { messageOf } from '../../lib/errno.ts';
import type { NetworkConfig } from './config.ts';
import { hasStatus, type Cni } from './cni.ts';

/** What plugins say of a network: it can take pods, it cannot and why, or they have not answered yet. */
export type NetworkStatus = { readonly kind: 'ready' | 'unknown' } | { readonly kind: 'failing'; readonly problem: string };

/** Asks the plugins of the node's network for their STATUS (CNI specification 1.1.0, section 2). */
export interface StatusProbe {
  /** From memory. A network that cannot be asked is ready; one that has a new configuration keeps its answer until there is another. */
  readonly of: (network: NetworkConfig) => NetworkStatus;
  /** Asks, or joins the question under way about the same network; one about another is called off. Throws nothing. */
  readonly ask: (network: NetworkConfig) => Promise<void>;
  readonly close: () => void;
}

/** Makes a probe that has not asked yet. */
export function makeStatusProbe({ cni }: { readonly cni: Pick<Cni, 'status'> }): StatusProbe {
  let answer: { readonly name: string; readonly status: NetworkStatus } | undefined;
  let question: { readonly network: NetworkConfig; readonly controller: AbortController; readonly done: Promise<void> } | undefined;

  async function put(network: NetworkConfig, signal: AbortSignal): Promise<void> {
    const status = await cni.status(network, signal).then(
      (): NetworkStatus => ({ kind: 'ready' }),
      (error: unknown): NetworkStatus => ({ kind: 'failing', problem: messageOf(error) }),
    );
    if (!signal.aborted) answer = { name: network.name, status };
  }

  async function ask(network: NetworkConfig): Promise<void> {
    if (!hasStatus(network)) {
      answer = { name: network.name, status: { kind: 'ready' } }; // counts until it can be asked, in a newer version, and has answered
      return;
    }
    if (question?.network !== network) {
      question?.controller.abort();
      const controller = new AbortController();
      const mine = {
        network,
        controller,
        done: put(network, controller.signal).finally(() => {
          if (question === mine) question = undefined;
        }),
      };
      question = mine;
    }
    return question.done;
  }

  return {
    of: (network) => {
      if (!hasStatus(network)) return { kind: 'ready' };
      return answer?.name === network.name ? answer.status : { kind: 'unknown' };
    },
    ask,
    close: () => question?.controller.abort(),
  };
}
