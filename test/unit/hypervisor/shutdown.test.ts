import { describe, expect, it } from 'vitest';
import { requestShutdown } from '../../../src/hypervisor/shutdown.ts';
import {
  LibvirtError,
  libvirtNumbers,
  LibvirtTimeoutError,
  LibvirtUnavailableError,
  type LibvirtCalls,
} from '../../../src/libvirt/libvirt.ts';

const { libvirtErrorCode: codes } = libvirtNumbers;
const vm = { name: 'vmlet-0123456789ab', uuid: '01234567-89ab-4cde-8f01-23456789abcd' };

function refusal(code: number): LibvirtError {
  return new LibvirtError({ code, domain: 10, level: 2, message: 'no', details: [] });
}

/** What is asked, in order, when ping, shutdown by the agent, and the button fail with these errors. */
async function asked(failures: { readonly ping?: Error; readonly agent?: Error; readonly button?: Error }): Promise<readonly string[]> {
  const said: string[] = [];
  const answer = async (what: 'ping' | 'agent' | 'button'): Promise<void> => {
    said.push(what);
    const failure = failures[what];
    if (failure) throw failure;
  };
  const calls: Pick<LibvirtCalls, 'domains' | 'qemu' | 'within'> = {
    within: () => calls as LibvirtCalls,
    qemu: { agentCommand: async () => answer('ping').then(() => '{"return":{}}') } as unknown as LibvirtCalls['qemu'],
    domains: {
      shutdown: async (_domain: object, flags: number) =>
        answer(flags === libvirtNumbers.domainShutdownFlag.guestAgent ? 'agent' : 'button'),
    } as unknown as LibvirtCalls['domains'],
  };
  await requestShutdown(calls as LibvirtCalls, vm, AbortSignal.timeout(5_000));
  return said;
}

describe('requestShutdown', () => {
  it('asks an agent that answers, and nobody else', async () => {
    expect(await asked({})).toEqual(['ping', 'agent']);
  });

  it('presses the button when there is no agent, or it does not answer', async () => {
    expect(await asked({ ping: refusal(codes.agentUnresponsive) })).toEqual(['ping', 'button']);
    expect(await asked({ ping: new LibvirtTimeoutError('late') })).toEqual(['ping', 'button']);
  });

  it('presses the button when the agent answers but does not shut down', async () => {
    expect(await asked({ agent: new LibvirtTimeoutError('late') })).toEqual(['ping', 'agent', 'button']);
    expect(await asked({ agent: refusal(codes.internalError) })).toEqual(['ping', 'agent', 'button']);
  });

  it('takes a VM that has ended meanwhile for done', async () => {
    expect(await asked({ ping: refusal(codes.operationInvalid) })).toEqual(['ping']);
    expect(await asked({ ping: refusal(codes.agentUnresponsive), button: refusal(codes.operationInvalid) })).toEqual(['ping', 'button']);
  });

  it('fails when libvirt refuses or is away', async () => {
    await expect(asked({ ping: refusal(codes.agentUnresponsive), button: refusal(codes.internalError) })).rejects.toThrow('no');
    const away = new LibvirtUnavailableError('away');
    await expect(asked({ ping: away, button: away })).rejects.toThrow('away');
  });
});
