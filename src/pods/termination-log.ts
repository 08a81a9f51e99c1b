import type { Container } from '../model/container.ts';

const pathAnnotation = 'io.kubernetes.container.terminationMessagePath';

/** The kubelet's file for a container's termination message; `undefined` when it gave none. */
export function terminationLogOf({ config }: Container): string | undefined {
  const path = config.annotations[pathAnnotation];
  return path === undefined ? undefined : config.mounts.find(({ containerPath }) => containerPath === path)?.hostPath;
}
