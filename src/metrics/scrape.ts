import { makeRegistry, type DeclaredMetric, type MetricsRegistry } from './registry.ts';

/** A registry with the time that reading it takes. */
export interface Scrape {
  readonly text: () => Promise<string>;
  readonly declared: () => readonly DeclaredMetric[];
}

/** Adds `vmlet_scrape_duration_seconds`, of the scrape that it is read by: it stands in a registry of its own, read last. */
export function makeScrape(registry: MetricsRegistry): Scrape {
  const own = makeRegistry();
  const duration = own.gauge({
    name: 'vmlet_scrape_duration_seconds',
    help: 'Time that it took to gather all other metrics of this scrape.',
  });
  return {
    text: async () => {
      const start = performance.now();
      const gathered = await registry.text();
      duration.set((performance.now() - start) / 1_000);
      return `${gathered}\n${await own.text()}`;
    },
    declared: () => [...registry.declared(), ...own.declared()],
  };
}
