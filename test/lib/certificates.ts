import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempDir } from './temp.ts';

/** A certificate and its key: paths and PEM texts. */
export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
}

/** What a certificate is issued for. */
export interface CertificateRequest {
  /** `DNS:NAME` or `IP:ADDRESS` entries of subjectAltName; none: a client's certificate. */
  readonly altNames?: readonly string[];
  /** Ended a day ago. */
  readonly isExpired?: boolean;
}

/** A certificate authority of a test's own; its files are removed when the running test ends. */
export interface Authority extends Certificate {
  readonly issue: (request: CertificateRequest) => Certificate;
}

/** Makes an authority. */
export function makeAuthority(): Authority {
  const dir = tempDir();
  const files = (name: string): { certFile: string; keyFile: string } => ({
    certFile: join(dir, `${name}.pem`),
    keyFile: join(dir, `${name}.key`),
  });
  const read = (names: { certFile: string; keyFile: string }): Certificate => ({
    ...names,
    cert: readFileSync(names.certFile, 'utf8'),
    key: readFileSync(names.keyFile, 'utf8'),
  });
  const ca = files('ca');
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl('req', '-x509', ...newKey, '-keyout', ca.keyFile, '-out', ca.certFile, '-subj', '/CN=test authority', '-days', '2');
  let issued = 0;
  return {
    ...read(ca),
    issue: ({ altNames = [], isExpired = false }) => {
      issued += 1;
      const made = files(`issued-${issued}`);
      const request = join(dir, 'request.csr');
      const extensions = join(dir, 'extensions.cnf');
      openssl('req', ...newKey, '-keyout', made.keyFile, '-out', request, '-subj', `/CN=issued ${issued}`);
      writeFileSync(extensions, altNames.length === 0 ? 'extendedKeyUsage=clientAuth\n' : `subjectAltName=${altNames.join(',')}\n`);
      const by = ['-CA', ca.certFile, '-CAkey', ca.keyFile, '-CAcreateserial'];
      if (isExpired) signExpired(dir, { ...made, request, extensions, ca });
      else openssl('x509', '-req', '-in', request, ...by, '-extfile', extensions, '-out', made.certFile, '-days', '2');
      return read(made);
    },
  };
}

interface Signing {
  readonly certFile: string;
  readonly request: string;
  readonly extensions: string;
  readonly ca: { readonly certFile: string; readonly keyFile: string };
}

/** `openssl x509` of Debian 12 knows no dates; `openssl ca` does. */
function signExpired(dir: string, { certFile, request, extensions, ca }: Signing): void {
  const config = join(dir, 'ca.cnf');
  const index = join(dir, 'index.txt');
  writeFileSync(index, '');
  writeFileSync(
    config,
    `[ca]\ndefault_ca=own\n[own]\nnew_certs_dir=${dir}\ndatabase=${index}\nrand_serial=yes\ndefault_md=sha256\npolicy=any\n[any]\ncommonName=supplied\n`,
  );
  const dates = ['-startdate', '20200101000000Z', '-enddate', '20200102000000Z'];
  const signing = ['-cert', ca.certFile, '-keyfile', ca.keyFile, '-extfile', extensions, '-in', request, '-out', certFile];
  openssl('ca', '-batch', '-notext', '-config', config, ...signing, ...dates);
}

function openssl(...args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: 'ignore' });
}
