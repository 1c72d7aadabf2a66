// One reader, one order; nothing unknown passes.

import { describe, expect, test } from '@jest/globals';
import { flagOf, OPTIONS, readConfig, variableOf } from '../../../server/config.ts';
import type { ConfigSources } from '../../../server/config.ts';

function read(sources: Partial<ConfigSources> = {}): ReturnType<typeof readConfig> {
  return readConfig({ flags: {}, environment: {}, file: null, ...sources });
}

const file = (content: unknown): ConfigSources['file'] => ({ name: 'my.json', content });

describe('order', () => {
  test('defaults, when nothing is said', () => {
    expect(read()).toMatchObject({ data: './data', host: '127.0.0.1', port: 5433, tls: true });
  });

  test('flag before environment before file before default', () => {
    const environment = { TRUSTSQL_PORT: '2', TRUSTSQL_MAX_CONNECTIONS: '20', PATH: '/bin' };
    const config = read({
      flags: { port: '1' },
      environment,
      file: file({ port: 3, maxConnections: 30, readers: 4 }),
    });
    expect(config).toMatchObject({ port: 1, maxConnections: 20, readers: 4 });
  });
});

describe('mistakes', () => {
  test.each([
    [
      { environment: { TRUSTSQL_PROT: '1' } },
      'unknown option TRUSTSQL_PROT; did you mean TRUSTSQL_PORT?',
    ],
    [
      { file: file({ maxConection: 1 }) },
      'unknown option "maxConection" in my.json; did you mean "maxConnections"?',
    ],
    [{ flags: { reader: 1 } }, 'unknown option --reader; did you mean --readers?'],
    [{ flags: { quux: 1 } }, 'unknown option --quux'],
    [{ flags: { port: '70000' } }, '--port: a whole number from 0 to 65535 is expected'],
    [{ flags: { port: '5433x' } }, '--port: a whole number from 0 to 65535 is expected'],
    [{ environment: { TRUSTSQL_TLS: 'yes' } }, 'TRUSTSQL_TLS: true or false is expected'],
    [
      { file: file({ logLevel: 'all' }) },
      '"logLevel" in my.json: one of error, warn, info, debug is expected',
    ],
    [{ file: file([]) }, 'my.json: a JSON object of options is expected'],
  ])('%j', (sources, message) => {
    expect(() => read(sources as Partial<ConfigSources>)).toThrow(
      expect.objectContaining({ name: 'ConfigError', message }),
    );
  });
});

test('every option has a flag, a variable, a help line and a default that it would accept', () => {
  expect(flagOf('maxConnections')).toBe('--max-connections');
  expect(variableOf('maxConnections')).toBe('TRUSTSQL_MAX_CONNECTIONS');
  const defaults: Record<string, unknown> = {};
  for (const [name, option] of Object.entries(OPTIONS)) {
    defaults[name] = option.initial;
    expect(option.help.length).toBeGreaterThan(5);
  }
  expect(read({ flags: defaults })).toEqual(read());
});
