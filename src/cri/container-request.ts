import { Signal, type ContainerConfig as ProtoContainerConfig } from '../gen/runtime/v1/api_pb.js';
import type { ContainerConfig } from '../model/container.ts';
import { invalid } from '../model/errors.ts';
import { mountFields, mountsFromProto } from './mounts.ts';
import { requireName, requireRelativePath } from './names.ts';
import { namespacesFromProto } from './namespaces.ts';
import { containerResourcesFields, resourcesFromProto } from './resources.ts';
import { checkSecurity, containerSecurityFields } from './security.ts';
import { below, type FieldSupport, type Support } from './support.ts';

const attachOnly: Support = { ignored: 'matters to Attach, which is not built yet; the console is a terminal either way' };
const boots: Support = { refused: 'any: a VM boots what is on its disk' };

/** `ContainerConfig`. */
export const containerConfigFields: FieldSupport = {
  metadata: 'honoured',
  'image.image': 'honoured',
  'image.user_specified_image': 'honoured',
  'image.annotations': { ignored: 'the image is in the store already' },
  'image.runtime_handler': { ignored: 'all handlers share one store' },
  'image.image_ref': { ignored: 'belongs to image volumes' },
  command: boots,
  args: boots,
  working_dir: boots,
  envs: { ignored: 'nothing that vmlet starts runs in the guest' },
  ...below('mounts', mountFields),
  devices: { refused: 'any: devices are not built yet' },
  CDI_devices: { refused: 'any: devices are not built yet' },
  labels: 'honoured',
  annotations: 'honoured',
  log_path: 'honoured',
  stdin: attachOnly,
  stdin_once: attachOnly,
  tty: attachOnly,
  stop_signal: { ignored: 'a guest is asked to power off, whatever the signal; echoed in ContainerStatus' },
  ...below('linux.resources', containerResourcesFields),
  ...below('linux.security_context', containerSecurityFields),
};

/** What CreateContainer asks for, checked; `podUid` is the sandbox's. Throws INVALID naming the field, UNIMPLEMENTED for pid TARGET. */
export function containerConfigFromProto(proto: ProtoContainerConfig | undefined, podUid: string): ContainerConfig {
  if (!proto) throw invalid('config', 'is missing');
  const { linux, image } = proto;
  if (!image?.image) throw invalid('config.image.image', 'is missing');
  checkProcess(proto);
  checkDevices(proto);
  const security = linux?.securityContext;
  const context = 'config.linux.security_context';
  namespacesFromProto(`${context}.namespace_options`, security?.namespaceOptions);
  if (security) checkSecurity(context, security);
  return {
    name: requireName('config.metadata.name', proto.metadata?.name),
    attempt: proto.metadata?.attempt ?? 0,
    image: image.image,
    userSpecifiedImage: image.userSpecifiedImage,
    labels: proto.labels,
    annotations: proto.annotations,
    mounts: mountsFromProto('config.mounts', proto.mounts, { uid: podUid, annotations: proto.annotations }),
    logPath: requireRelativePath('config.log_path', proto.logPath),
    ...(linux?.resources ? { resources: resourcesFromProto('config.linux.resources', linux.resources) } : {}),
    stdin: proto.stdin,
    stdinOnce: proto.stdinOnce,
    tty: proto.tty,
    stopSignal: requireSignal('config.stop_signal', proto.stopSignal),
  };
}

function checkProcess({ command, args, workingDir }: ProtoContainerConfig): void {
  const set = Object.entries({ command: command.join(' '), args: args.join(' '), working_dir: workingDir }).find(
    ([, value]) => value !== '',
  );
  if (!set) return;
  const [field, value] = set;
  throw invalid(`config.${field}`, `${JSON.stringify(value)}: a VM boots what is on its disk and has no entry point; accepted: unset`);
}

function checkDevices({ devices, CDIDevices }: ProtoContainerConfig): void {
  const [device] = devices;
  if (device)
    throw invalid('config.devices', `${JSON.stringify(device.containerPath)}: devices and block volumes are not built yet; accepted: none`);
  const [cdi] = CDIDevices;
  if (cdi) throw invalid('config.CDI_devices', `${JSON.stringify(cdi.name)}: devices are not built yet; accepted: none`);
}

function requireSignal(field: string, signal: Signal): number {
  if (Signal[signal] === undefined) throw invalid(field, `${signal} is no signal that CRI knows`);
  return signal;
}
