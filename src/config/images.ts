import { isIP } from 'node:net';
import { z } from 'zod';
import { hostIssues, isExpression, isImageName, isTransportTaken, repeatedNames, unknownTransports, urlProblem } from './mapping-rules.ts';
import { bytes, durationMs, path } from './values.ts';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits');
const imageName = z.string().refine(isImageName, 'must be an image name, with or without tag');

/** A line of a mapping: an image name, or an expression over names, and where those disks are. */
const source = z
  .strictObject({
    name: imageName.optional().describe('exact image name, with or without tag'),
    match: z.string().min(1).optional().describe('regular expression over the whole name; $1 ... may be used in url'),
    url: z.string().min(1).describe('https://, http:// or file:/// address of the disk'),
    sha256: sha256.optional().describe('digest that the disk must have, unpacked'),
    format: z.enum(['qcow2', 'raw', 'vmdk', 'vdi', 'vhdx']).default('qcow2').describe('how the bytes are read; never probed'),
    compression: z.enum(['none', 'gzip', 'zstd', 'xz']).optional().describe('default: by the end of the url: .gz, .zst, .xz'),
    transport: z.string().min(1).optional().describe('a key of images.transports or of the same file’s transports'),
  })
  .superRefine((value, context) => {
    const issue = (key: string, message: string | undefined): void => {
      if (message !== undefined) context.addIssue({ code: 'custom', path: [key], message });
    };
    if ((value.name === undefined) === (value.match === undefined)) context.addIssue('exactly one of name and match must be given');
    if (value.match !== undefined && !isExpression(value.match)) issue('match', 'is not a regular expression');
    else issue('url', urlProblem(value.url, value.match));
    if (value.transport !== undefined && !isTransportTaken(value.url)) issue('transport', 'is for https:// and http:// addresses only');
  });

/** How servers are reached; files are PEM and read when the configuration is. */
const transport = z
  .strictObject({
    connectTimeout: durationMs.default(30_000).describe('longest wait for a connection'),
    stallTimeout: durationMs.optional().describe('longest time without a byte; default images.stallTimeout'),
    maxRedirects: z.int().min(0).max(20).default(5).describe('most redirects that are followed'),
    proxy: z.string().refine(isProxy, 'must be http://[user:password@]host:port').optional().describe('http://[user:password@]host:port'),
    ca: path.optional().describe('certificates that are trusted beside the system’s'),
    clientCertificate: path.optional().describe('certificate that the server asks for'),
    clientKey: path.optional().describe('its key'),
    serverName: z.string().min(1).optional().describe('name in the server’s certificate, if not the host'),
    skipVerify: z.boolean().default(false).describe('trusts any certificate'),
  })
  .refine(
    (value) => (value.clientCertificate === undefined) === (value.clientKey === undefined),
    'clientCertificate and clientKey must be given together',
  );

const transports = z.record(z.string().min(1), transport).default({});

/** What a file of `images.mappingDir` holds. */
export const mappingFileSchema = z.strictObject({
  transports: transports.describe('profiles for this file’s sources, before those of images.transports'),
  sources: z.array(source).default([]).describe('as images.sources'),
});

/** A mapping file after defaults. */
export type MappingFile = z.output<typeof mappingFileSchema>;

/** A line of a mapping after defaults. */
export type ImageSource = z.output<typeof source>;

/** A transport profile after defaults, its files not read. */
export type TransportProfile = z.output<typeof transport>;

/** The keys below `images`. */
export const imagesSchema = z
  .strictObject({
    sources: z.array(source).default([]).describe('where named images come from; exact names first, then expressions in order'),
    transports: transports.describe('profiles that sources name: timeouts, redirects, proxy, TLS'),
    mappingDir: path
      .default('/etc/vmlet/images.d')
      .describe('files *.yaml with sources and transports, in order of their names, after images.sources; read again on SIGHUP'),
    urlHosts: z
      .array(z.string().regex(/^(http:\/\/)?[a-z0-9.-]+(:[0-9]{1,5})?$/, 'must be a host name, with port if not the usual one'))
      .default([])
      .describe('hosts that pods may name as virtlet.cloud/<host>/<path>; over https, or as http://host where written so'),
    registryHostsDir: path
      .default('/etc/vmlet/certs.d')
      .describe('mirrors, certificates and headers of registries: <host>/hosts.toml, as containerd reads it'),
    signaturePolicy: path.optional().describe('file that says per repository which signatures are wanted; read again on SIGHUP'),
    allowedNetworks: z
      .array(z.string().refine(isNetwork, 'must be a network like 10.0.0.0/8 or an IP address'))
      .default([])
      .describe('networks that any image server may be in, loopback and link-local ones too'),
    convert: z
      .array(z.enum(['vmdk', 'vdi', 'vhdx']))
      .default([])
      .describe('formats that are turned into qcow2 when pulled'),
    pinned: z.array(z.string().min(1)).default([]).describe('images, by name, that a kubelet shall not collect'),
    maxPulls: z.int().min(1).max(64).default(3).describe('most downloads at a time; others wait'),
    connections: z.int().min(1).max(16).default(4).describe('most connections of one download'),
    maxBytes: bytes.default(64 * 2 ** 30).describe('largest download, and largest disk file that it unpacks to'),
    maxVirtualSize: bytes.default(2 * 2 ** 40).describe('largest disk that a guest may see'),
    minFree: bytes
      .default(2 ** 30)
      .describe('free space that pulls and new root disks leave where no kubelet watches: on another file system than kubeletRoot'),
    kubeletRoot: path.default('/var/lib/kubelet').describe('the kubelet’s directory, whose file system it watches'),
    attempts: z.int().min(1).max(100).default(5).describe('attempts in a row without a byte after which a download fails'),
    stallTimeout: durationMs.default(60_000).describe('a download that makes no progress for this long is tried again, then fails'),
  })
  .superRefine((value, context) => {
    const { sources, transports: own, urlHosts } = value;
    const issues = [...repeatedNames(sources), ...unknownTransports(sources, [own]), ...hostIssues(urlHosts)];
    for (const { path: at, message } of issues) context.addIssue({ code: 'custom', path: [...at], message });
  })
  .prefault({});

/** The configuration of images after defaults. */
export type ImagesConfig = z.output<typeof imagesSchema>;

function isProxy(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, pathname, search, hash } = new URL(text);
  return protocol === 'http:' && pathname === '/' && search === '' && hash === '';
}

function isNetwork(text: string): boolean {
  const [address = '', bits] = text.split('/');
  const family = isIP(address);
  return family !== 0 && (bits === undefined || (/^[0-9]{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128)));
}
