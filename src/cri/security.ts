import {
  SecurityProfile_ProfileType,
  SupplementalGroupsPolicy,
  type LinuxContainerSecurityContext,
  type LinuxSandboxSecurityContext,
  type SecurityProfile,
} from '../gen/runtime/v1/api_pb.js';
import { invalid } from '../model/errors.ts';
import { below, type FieldSupport, type Support } from './support.ts';
import { namespaceFields } from './namespaces.ts';

const profile: Support = { refused: 'Localhost profiles; the others are ignored, since they would confine a process of the node' };
const noProcess: Support = { ignored: 'concerns a process of the node; a guest has its own kernel and users' };

const shared: FieldSupport = {
  ...below('namespace_options', namespaceFields),
  privileged: { ignored: 'a guest is its own root anyway, and gets no device of the node' },
  selinux_options: noProcess,
  run_as_user: noProcess,
  run_as_group: { refused: 'without run_as_user, as CRI demands; otherwise ignored: a guest has its own users' },
  supplemental_groups: noProcess,
  supplemental_groups_policy: { refused: 'Strict' },
  readonly_rootfs: { ignored: 'a guest writes to its own overlay, never to the image' },
  seccomp: profile,
  apparmor: profile,
  seccomp_profile_path: profile,
};

/** `linux.security_context` of a sandbox. */
export const sandboxSecurityFields: FieldSupport = shared;

/** `linux.security_context` of a container. */
export const containerSecurityFields: FieldSupport = {
  ...shared,
  capabilities: noProcess,
  run_as_username: noProcess,
  apparmor_profile: profile,
  no_new_privs: noProcess,
  masked_paths: noProcess,
  readonly_paths: noProcess,
};

/** Refuses explicit wishes that do not reach into a guest. What a kubelet sends by default passes. Throws INVALID. */
export function checkSecurity(field: string, context: LinuxSandboxSecurityContext | LinuxContainerSecurityContext): void {
  const user = context.runAsUser ?? ('runAsUsername' in context && context.runAsUsername !== '' ? context.runAsUsername : undefined);
  if (context.runAsGroup && user === undefined) throw invalid(`${field}.run_as_group`, 'needs run_as_user');
  if (context.supplementalGroupsPolicy === SupplementalGroupsPolicy.Strict)
    throw invalid(`${field}.supplemental_groups_policy`, 'Strict cannot be kept in a guest; accepted: Merge');
  checkProfile(`${field}.seccomp`, context.seccomp);
  checkProfile(`${field}.apparmor`, context.apparmor);
  checkOldProfile(`${field}.seccomp_profile_path`, context.seccompProfilePath);
  if ('apparmorProfile' in context) checkOldProfile(`${field}.apparmor_profile`, context.apparmorProfile);
}

function checkProfile(field: string, given: SecurityProfile | undefined): void {
  if (given?.profileType !== SecurityProfile_ProfileType.Localhost) return;
  throw invalid(
    field,
    `the Localhost profile ${JSON.stringify(given.localhostRef)} does not reach into a guest; accepted: RuntimeDefault, Unconfined`,
  );
}

function checkOldProfile(field: string, given: string): void {
  if (given.startsWith('localhost/'))
    throw invalid(field, `${JSON.stringify(given)} does not reach into a guest; accepted: runtime/default, unconfined`);
}
