/** `domains.create` and `domains.createXml`: virDomainCreateFlags. */
const domainCreateFlag = { paused: 1, autodestroy: 2, bypassCache: 4, forceBoot: 8, validate: 16, resetNvram: 32 } as const;

/** `domains.define`: virDomainDefineFlags. */
const domainDefineFlag = { validate: 1 } as const;

/** `domains.shutdown`: virDomainShutdownFlagValues; 0 lets the driver choose. */
const domainShutdownFlag = { acpiPowerButton: 1, guestAgent: 2, initctl: 4, signal: 8, paravirt: 16 } as const;

/** `domains.reboot`: virDomainRebootFlagValues. */
const domainRebootFlag = { acpiPowerButton: 1, guestAgent: 2, initctl: 4, signal: 8, paravirt: 16 } as const;

/** `domains.destroy`: virDomainDestroyFlagsValues; `graceful` never goes further than SIGTERM. */
const domainDestroyFlag = { graceful: 1, removeLogs: 2 } as const;

/** `domains.undefine`: virDomainUndefineFlagsValues. */
const domainUndefineFlag = {
  managedSave: 1,
  snapshotsMetadata: 2,
  nvram: 4,
  keepNvram: 8,
  checkpointsMetadata: 16,
  tpm: 32,
  keepTpm: 64,
} as const;

/** `domains.xml`: virDomainXMLFlags. `secure` also tells secrets. */
const domainXmlFlag = { secure: 1, inactive: 2, updateCpu: 4, migratable: 8 } as const;

/** `domains.list`: virConnectListAllDomainsFlags; 0 lists all. */
const domainListFlag = {
  active: 1,
  inactive: 2,
  persistent: 4,
  transient: 8,
  running: 16,
  paused: 32,
  shutoff: 64,
  other: 128,
} as const;

/** `domains.metadata` and `domains.setMetadata`: virDomainModificationImpact. */
const domainAffect = { current: 0, live: 1, config: 2 } as const;

/** `domains.metadata` and `domains.setMetadata`: virDomainMetadataType. */
const domainMetadataType = { description: 0, title: 1, element: 2 } as const;

/** `domains.statistics`, the groups asked for: virDomainStatsTypes; 0 asks for all. */
const domainStatsGroup = {
  state: 1,
  cpu: 2,
  balloon: 4,
  vcpu: 8,
  interface: 16,
  block: 32,
  perf: 64,
  iothread: 128,
  memory: 256,
  dirtyRate: 512,
} as const;

/** `domains.statistics`: virConnectGetAllDomainStatsFlags. `nowait` leaves out what a busy domain cannot tell at once. */
const domainStatsFlag = {
  active: 1,
  inactive: 2,
  persistent: 4,
  transient: 8,
  running: 16,
  paused: 32,
  shutoff: 64,
  other: 128,
  nowait: 1 << 29,
  backing: 1 << 30,
  enforceStats: 2 ** 31,
} as const;

/** `openConsole`: virDomainConsoleFlags. `force` takes the console from whoever has it. */
const domainConsoleFlag = { force: 1, safe: 2 } as const;

/** `openChannel`: virDomainChannelFlags. */
const domainChannelFlag = { force: 1 } as const;

/** `qemu.agentCommand`, the time to wait in seconds: any number from 0, or one of these. */
const agentTimeout = { block: -2, default: -1, nowait: 0 } as const;

/** `qemu.monitorCommand`: virDomainQemuMonitorCommandFlags; 0 is QMP. */
const monitorFlag = { qmp: 0, hmp: 1 } as const;

/** Reason of the state `shutoff`: virDomainShutoffReason. */
const shutoffReason = {
  unknown: 0,
  shutdown: 1,
  destroyed: 2,
  crashed: 3,
  migrated: 4,
  saved: 5,
  failed: 6,
  fromSnapshot: 7,
  daemon: 8,
} as const;

/** Reason of the state `paused`: virDomainPausedReason. */
const pausedReason = {
  unknown: 0,
  user: 1,
  migration: 2,
  save: 3,
  dump: 4,
  ioError: 5,
  watchdog: 6,
  fromSnapshot: 7,
  shuttingDown: 8,
  snapshot: 9,
  crashed: 10,
  startingUp: 11,
  postcopy: 12,
  postcopyFailed: 13,
} as const;

/** `detail` of the lifecycle event `stopped`: virDomainEventStoppedDetailType. */
const stoppedDetail = { shutdown: 0, destroyed: 1, crashed: 2, migrated: 3, saved: 4, failed: 5, fromSnapshot: 6 } as const;

/** `detail` of the lifecycle event `suspended`: virDomainEventSuspendedDetailType. */
const suspendedDetail = {
  paused: 0,
  migrated: 1,
  ioError: 2,
  watchdog: 3,
  restored: 4,
  fromSnapshot: 5,
  apiError: 6,
  postcopy: 7,
  postcopyFailed: 8,
} as const;

/** `detail` of the lifecycle event `crashed`: virDomainEventCrashedDetailType. */
const crashedDetail = { panicked: 0, crashloaded: 1 } as const;

/** `LibvirtError.code`, those that callers tell apart: virErrorNumber. */
const libvirtErrorCode = {
  internalError: 1,
  noMemory: 2,
  noSupport: 3,
  invalidArgument: 8,
  operationFailed: 9,
  xmlError: 27,
  systemError: 38,
  noDomain: 42,
  operationInvalid: 55,
  configUnsupported: 67,
  operationTimeout: 68,
  noDomainMetadata: 80,
  operationUnsupported: 84,
  agentUnresponsive: 86,
  resourceBusy: 87,
  accessDenied: 88,
  agentUnsynced: 97,
} as const;

/** Numbers of libvirt's public API (libvirt-domain.h, virterror.h) that its callers combine or compare; combine flags with `|`. */
export const libvirtNumbers = {
  domainCreateFlag,
  domainDefineFlag,
  domainShutdownFlag,
  domainRebootFlag,
  domainDestroyFlag,
  domainUndefineFlag,
  domainXmlFlag,
  domainListFlag,
  domainAffect,
  domainMetadataType,
  domainStatsGroup,
  domainStatsFlag,
  domainConsoleFlag,
  domainChannelFlag,
  agentTimeout,
  monitorFlag,
  shutoffReason,
  pausedReason,
  stoppedDetail,
  suspendedDetail,
  crashedDetail,
  libvirtErrorCode,
} as const;
