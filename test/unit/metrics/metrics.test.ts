import { describe, expect, test } from 'vitest';
import { answerTo, readiness } from '../../../src/metrics/answers.ts';
import { renderMetricsDocs } from '../../../src/metrics/metrics.ts';
import { makeRegistry } from '../../../src/metrics/registry.ts';
import { makeScrape } from '../../../src/metrics/scrape.ts';
import { readyCondition } from '../../../src/model/condition.ts';

const documented = renderMetricsDocs()
  .split('\n')
  .filter((line) => line.startsWith('| `'))
  .map((line) => {
    const [name = '', type = '', labels = '', help = ''] = line
      .split('|')
      .slice(1)
      .map((cell) => cell.trim());
    return { name: name.replaceAll('`', ''), type, labels: labels.match(/[a-z_]+/g) ?? [], help };
  });

describe('every metric', () => {
  test('is on the generated page', () => {
    expect(documented.length).toBeGreaterThan(25);
    expect(documented.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['vmlet_rpc_calls_total', 'vmlet_vms', 'vmlet_scrape_duration_seconds', 'vmlet_build_info']),
    );
  });

  test.each(documented)('$name is named by the rules and explained', ({ name, type, labels, help }) => {
    expect(name).toMatch(/^(vmlet|process|nodejs)(_[a-z]+)+$/);
    expect(name.endsWith('_total')).toBe(type === 'counter');
    expect(type !== 'histogram' || /_(seconds|bytes)$/.test(name)).toBe(true);
    expect(help).toMatch(/^[A-Z0-9].{15,}\.$/);
    for (const label of labels) expect(label).not.toMatch(/id$|name|reference|namespace|pod/);
  });
});

test('a scrape tells how long it took, after everything else', async () => {
  const registry = makeRegistry();
  registry.sampledGauge({ name: 'slow_seconds', help: 'Slow.' }, () => {
    const end = performance.now() + 20;
    while (performance.now() < end);
    return [[{}, 1]];
  });
  const text = await makeScrape(registry).text();
  expect(text).toMatch(/^slow_seconds 1$/m);
  const lines = text.trimEnd().split('\n');
  expect(lines.at(-1)).toMatch(/^vmlet_scrape_duration_seconds 0\.\d+$/);
  expect(Number(lines.at(-1)?.split(' ')[1])).toBeGreaterThanOrEqual(0.02);
  expect(text).not.toContain('\n\n\n');
});

test('a label’s value is escaped', async () => {
  const registry = makeRegistry();
  registry.gauge({ name: 'odd_info', help: 'Odd\\ one.\nTwo lines.', labels: ['text'] }).set({ text: 'a"b\\c\nd' }, 1);
  expect(await registry.text()).toBe(
    '# HELP odd_info Odd\\\\ one.\\nTwo lines.\n# TYPE odd_info gauge\nodd_info{text="a\\"b\\\\c\\nd"} 1\n',
  );
});

test('a metric that is declared twice is an error', () => {
  const registry = makeRegistry();
  registry.counter({ name: 'x_total', help: 'X.' });
  expect(() => registry.counter({ name: 'x_total', help: 'X.' })).toThrow('x_total');
});

describe('answers', () => {
  const sources = {
    metrics: async () => 'x 1\n',
    metricsType: 'text/plain; version=0.0.4',
    conditions: () => ({ RuntimeReady: readyCondition }),
  };

  test.each([
    ['GET', '/metrics', 200],
    ['HEAD', '/metrics', 200],
    ['GET', '/metrics?name[]=x', 200],
    ['GET', '/healthz', 200],
    ['GET', '/readyz', 200],
    ['POST', '/metrics', 405],
    ['DELETE', '/healthz', 405],
    ['GET', '/', 404],
    ['GET', '/metrics/', 404],
    ['GET', '/metrics/../etc/passwd', 404],
    ['POST', '/elsewhere', 404],
    ['GET', '', 404],
  ] as const)('%s %s is %i', async (method, url, status) => {
    const answer = await answerTo(method, url, sources);
    expect(answer.status).toBe(status);
    expect(answer.headers['content-type']).toMatch(/^text\/plain/);
    expect(answer.headers['allow']).toBe(status === 405 ? 'GET, HEAD' : undefined);
  });

  test('readiness is 503 with a line for each condition that does not hold', () => {
    const away = { ready: false, reason: 'LibvirtUnavailable', message: 'libvirt cannot be reached:\nno socket' };
    expect(readiness({ RuntimeReady: readyCondition })).toMatchObject({ status: 200, body: 'ready\n' });
    expect(readiness({ RuntimeReady: { ...readyCondition, message: 'no KVM' } })).toMatchObject({ status: 200 });
    expect(
      readiness({ RuntimeReady: away, NetworkReady: readyCondition, Serving: { ...away, reason: 'Starting', message: 'x' } }),
    ).toMatchObject({
      status: 503,
      body: 'RuntimeReady: LibvirtUnavailable: libvirt cannot be reached: no socket\nServing: Starting: x\n',
    });
  });

  test('health does not depend on readiness or on the metrics', async () => {
    const broken = {
      ...sources,
      metrics: async () => Promise.reject(new Error('x')),
      conditions: () => ({ A: { ready: false, reason: 'R', message: 'm' } }),
    };
    expect(await answerTo('GET', '/healthz', broken)).toMatchObject({ status: 200, body: 'ok\n' });
  });
});
