/** Numbers of libvirt's RPC protocol (libvirt's internals page "RPC protocol"). They are append-only upstream. */

/** The programs that share a connection; each has its own procedure numbers. */
export const program = { remote: 0x20008086, qemu: 0x20008087, keepalive: 0x6b656570 } as const;

/** The only version that any of the programs ever had. */
export const protocolVersion = 1;

/** What a frame is. `streamHole` and the two types that carry file descriptors are never asked for by this client. */
export const messageType = { call: 0, reply: 1, event: 2, stream: 3 } as const;

/** How it went: `more` is a stream's data. */
export const messageStatus = { ok: 0, error: 1, more: 2 } as const;

/** Procedures of the keepalive program. */
export const keepaliveProcedure = { ping: 1, pong: 2 } as const;

/** VIR_NET_MESSAGE_MAX and the length word: the largest frame that libvirt itself sends or takes, in bytes. */
export const libvirtMaxFrameBytes = 32 * 1024 * 1024 + 4;

/** The length word and the six words of the header, in bytes. */
export const headerBytes = 28;

/** Stream data of one frame, in bytes: VIR_NET_MESSAGE_LEGACY_PAYLOAD_MAX, which every version takes. */
export const streamChunkBytes = 262_120;

/** The feature whose query makes libvirtd send keepalive pings (VIR_DRV_FEATURE_PROGRAM_KEEPALIVE). */
export const keepaliveFeature = 10;

/** REMOTE_AUTH_NONE. */
export const authNone = 0;
