// Arguments for comparing functions with PostgreSQL's: by type, and by function where the type says too little.
// Data only.

import type { BaseType } from '../../ledger/type.ts';

export const SAMPLES: Partial<Record<BaseType, readonly string[]>> = {
  bool: ['t', 'f'],
  int2: ['0', '1', '-1', '7', '-32768', '32767', '100'],
  int4: ['0', '1', '-1', '7', '-2147483648', '2147483647', '12345', '3'],
  int8: ['0', '1', '-1', '7', '-9223372036854775808', '9223372036854775807', '123456789012', '3'],
  oid: ['0', '1', '4294967295'],
  float4: ['0', '1.5', '-1.5', '2.5', '3e38', '1e-40', 'NaN', 'Infinity', '-Infinity', '0.1', '-0'],
  float8: ['0', '1.5', '-1.5', '2.5', '0.5', '1e308', '1e-300', 'NaN', 'Infinity', '-Infinity', '0.1', '-0', '123456789.987', '3'],
  numeric: ['0', '1', '-1', '1.10', '-2.5', '3', '0.005', '123456789012345678901234567890.12345', '1e-20', 'NaN', 'Infinity', '-Infinity', '100', '7.00', '-0.5', '99999.9999', '0.00'],
  text: ['', 'a', 'abc', 'ABC', 'a b', ' x ', 'Äbç', '\u{1f600}x', 'abcabc', '%', '_b', 'a%', 'A_C', 'z\\%'],
  bpchar: ['', 'a', 'a  ', 'b', 'ab'],
  name: ['', 'a', 'b', 'abc'],
  char: ['a', 'b', ''],
  bytea: ['\\x', '\\x00', '\\xff', '\\x0102', '\\x010203'],
  uuid: ['00000000-0000-0000-0000-000000000000', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'ffffffff-ffff-ffff-ffff-ffffffffffff'],
  date: ['2000-01-01', '2020-02-29', '1999-12-31', '0044-03-15 BC', 'infinity', '-infinity', '2024-07-15', '1900-01-01'],
  time: ['00:00', '23:59:59.999999', '12:34:56.5', '24:00'],
  timetz: ['00:00+00', '10:00:00.5+05:30', '23:59-08', '10:00+02'],
  timestamp: ['2000-01-01 00:00', '2020-02-29 12:34:56.789', '1999-12-31 23:59:59.999999', '0044-03-15 10:00 BC', 'infinity', '-infinity', '2024-07-15 01:02:03', '1901-05-31 00:00'],
  timestamptz: ['2000-01-01 00:00+00', '2020-02-29 12:34:56.789+00'],
  interval: ['0', '1 day', '1 mon', '-1 mon +1 day', '1 year 2 mons 3 days 04:05:06.789', '30 days', '24:00:00', '-04:00', '100 years', '1 mon 40 days 50:00'],
  json: ['1', '"a"', '[1,2]', '{"a":1}', 'null'],
  jsonb: ['1', '1.0', '"a"', '[]', '[1,2,"a"]', '{"a":1}', '{"a":1,"b":[1,{"c":null}]}', 'null', 'true', '[[1]]', '{}', '"b"', '2.5', '{"a":{"b":1}}'],
}; // prettier-ignore

const UNITS = ['year', 'month', 'day', 'hour', 'minute', 'second', 'epoch', 'week', 'quarter', 'decade', 'century', 'millennium', 'dow', 'isodow', 'doy', 'isoyear', 'julian', 'milliseconds', 'microseconds', 'timezone', 'timezone_hour', 'foo']; // prettier-ignore

/** First arguments that are units of time. */
const UNIT_FUNCTIONS = /^(extract_|timestamp_part|date_part|time_part|timetz_part|interval_part|timestamp_trunc|interval_trunc)/;

/** Texts for the argument at a place of a function, in place of the type's. */
export function samplesFor(name: string, place: number, base: BaseType): readonly string[] {
  if (place === 0 && UNIT_FUNCTIONS.test(name)) return UNITS;
  if (name === 'varchar' || name === 'bpchar') {
    return place === 1 ? ['-1', '5', '7'] : place === 0 ? ['abc', 'a', 'abcdef', 'é'] : ['t', 'f'];
  }
  if (name === 'numeric' && place === 1) return ['-1', '655366', '65540', '196613'];
  if (name === 'interval_scale' && place === 1) return ['-1', '2147418112', '2147418115'];
  if (name.endsWith('_scale') && place === 1) return ['0', '3', '6'];
  if (name === 'binary_encode' && place === 1) return ['hex', 'base64', 'escape', 'x'];
  if (name === 'binary_decode') return place === 1 ? ['hex', 'base64'] : ['', '0a', '0aFF', 'YWJj', 'AA=='];
  if (/^make_date|^make_timestamp/.test(name) && place < 3) {
    return [['2020', '1', '-44', '0', '1999'], ['1', '2', '12', '13'], ['1', '29', '31', '0']][place]!;
  }
  if (name.startsWith('make_time')) {
    const at = name === 'make_time' ? place : place - 3;
    return [['0', '23', '24', '25'], ['0', '59', '60'], ['0', '59.999999', '60', '1.5']][at]!;
  }
  if (name === 'make_interval') return base === 'float8' ? ['0', '1.5'] : ['0', '1', '-2'];
  if (name === 'chr') return ['65', '233', '128512', '0', '-1', '55296', '1114112'];
  if (/^(repeat|lpad|rpad|text_left|text_right|text_substr|split_part|textoverlay|bytea_substr)/.test(name) && base === 'int4') {
    return ['0', '1', '2', '5', '-1', '-2'];
  }
  if (name === 'split_part' || name === 'textpos' || name === 'replace_text' || name === 'translate') {
    return [['abcabc', 'a,b,,c', 'Äbç'], ['b', ',', '', 'bc'], ['x', '', 'yz']][place] ?? SAMPLES[base]!;
  }
  if (/(r|l)oid|like_escape/.test(name) && place === 1) return ['\\', '#', '', 'ab', '%'];
  if (/^jsonb_(object_field|exists|delete$)/.test(name) && place === 1) return ['a', 'b', 'x', ''];
  if (/shl|shr/.test(name) && place === 1) return ['0', '1', '5', '31', '40', '-1'];
  if (/round|trunc/.test(name) && base === 'int4') return ['0', '2', '-2', '5', '30'];
  return SAMPLES[base] ?? [];
}
