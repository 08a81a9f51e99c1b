// Completes package-lock.json: an optional package of another platform that the registry in use does not carry is dropped by
// `npm install` without a word, and `npm ci` then fails ("Missing: ... from lock file"). Plain JavaScript: runs on any Node >= 20.
import { readFileSync, writeFileSync } from 'node:fs';
const file = 'package-lock.json';
const lock = JSON.parse(readFileSync(file, 'utf8'));
const OS = /(android|darwin|freebsd|linux|netbsd|openbsd|openharmony|sunos|win32|wasi|aix)/;
const CPU = /(arm64|arm|ia32|loong64|mips64el|ppc64|riscv64|s390x|wasm32|x64)/;
let added = 0;
for (const [at, pkg] of Object.entries(lock.packages)) {
  for (const [name, range] of Object.entries(pkg.optionalDependencies ?? {})) {
    if (find(at, name)) continue;
    const entry = { version: range.replace(/^[~^]/, '') };
    const tail = name.replace(/^@[^/]+\//, '');
    const os = OS.exec(tail)?.[1] ?? (name === 'fsevents' ? 'darwin' : undefined);
    const cpu = CPU.exec(tail)?.[1];
    if (!os && !cpu) throw new Error(`${at}: optional ${name} is missing and its name tells no platform`);
    const libc = /musl/.test(tail) ? ['musl'] : /gnu/.test(tail) ? ['glibc'] : undefined;
    Object.assign(entry, cpu && { cpu: [cpu] }, pkg.dev && { dev: true }, libc && { libc }, { optional: true }, os && { os: [os] }); // npm's own order
    lock.packages[`node_modules/${name}`] = entry;
    added += 1;
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en')));
for (const [at, pkg] of Object.entries(lock.packages)) if (pkg.resolved && at) delete pkg.resolved;
writeFileSync(file, JSON.stringify(lock, null, 2) + '\n');
console.log(`${file}: ${added} optional packages of other platforms added`);

function find(at, name) {
  for (let base = at; ; base = base.slice(0, base.lastIndexOf('node_modules/')).replace(/\/$/, '')) {
    const key = base === '' ? `node_modules/${name}` : `${base}/node_modules/${name}`;
    if (lock.packages[key]) return true;
    if (base === '') return false;
  }
}
