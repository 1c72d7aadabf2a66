// Texts whose reading and printing is compared with PostgreSQL's: by type, under session settings. Data only.
//
// tests/vectors/record.ts asks a PostgreSQL server and writes the answers to values.json.

/** SQL type, its texts; `settings` are SET before. */
export interface ValueCases {
  readonly type: string;
  readonly settings?: Readonly<Record<string, string>>;
  readonly inputs: readonly string[];
}

const TIMESTAMPS = [
  '2020-01-05 10:00:00', '2020-01-05', '2020-01-05 10:00:00.5', '2020-01-05 10:00:00.123456', '2020-01-05T10:00:00Z',
  '2020-01-05 10:00:00+02', '2020-01-05 10:00:00+05:30', '2020-01-05 10:00:00-08:00:30', '20200105', '20200105T101112',
  '20200105 101112', 'Jan 5 2020', 'January 5, 2020 10:11', '5 Jan 2020 04:05 PM', '5-Jan-2020', 'Jan-05-2020',
  '2020-Jan-05', '01/02/2003', '1/2/03', '1.2.2003', '2003.01.02', '01-02-03', '13/02/2003', 'Sun Jan 05 10:00:00 2020',
  'Sun Jan 05 10:00:00 2020 UTC', '2020-01-05 10:00:00 EST', '2020-07-05 10:00:00 America/New_York',
  '2020-01-05 10:00:00 america/new_york', '2020-03-08 02:30:00 America/New_York', '2020-11-01 01:30:00 America/New_York',
  '2020-02-30', '2020-02-29', '2019-02-29', '2020-13-01', '2020-00-10', '2020-01-32', '0000-01-01', '0001-01-01',
  '0001-01-01 BC', '0044-03-15 10:00:00 BC', '4714-11-24 BC', '4714-11-23 BC', '294276-12-31 23:59:59.999999',
  '294277-01-01', '10000-01-01', 'infinity', '-infinity', 'epoch', 'J2451187', '2020.123', '2020-123', '1999-008',
  '2020-01-05 24:00:00', '2020-01-05 25:00:00', '2020-01-05 10:60:00', '2020-01-05 10:00:60', '2020-01-05 10:00:61',
  '2020-01-05 12:00 AM', '2020-01-05 12:00 PM', '2020-01-05 13:00 PM', '2020-01-05 10:00:00.9999999', '2020-01-05 10',
  '2020-01-05 1011', 'foo', '', ' ', '2020', '2020-01', '10:00', 'allballs', '2020-01-05 foo', '2020-01-05 10:00 +25',
  '2020-01-05 10:00 Foo/Bar', '99-01-05', '69-01-05', '70-01-05', '2020-1-5 1:2:3', '  2020-01-05  ', 'today foo',
  '2020-01-05 10:00:00,5', '2020/01/05', '1999-01-08 04:05:06 -8:00', '1999-01-08 04:05:06.789-8', '040506',
  'January 8, 99 BC', '99-Jan-08', '08-Jan-99', 'Jan-08-99', '99 Jan 08', '08 Jan 99', 'Jan 08 99', '990108',
  '2020-01-05 10:00:00 z', '2020-01-05 10:00:00 UTC+3', '2020-01-05 10:00:00 GMT', '1883-11-18 12:00:00',
  '2020-01-05 10:00:00 CEST', '1/2/2020 3:04 am', 'Saturday 2020-01-04', '10:00 2020-01-05', '10:00 Jan 5 2020', '10:00:00+02 2020-01-05', 'Jan-05 2020', '2020 5 1', '2020-01-05 AD', '2020-01-05 10:00:00 +0530',
]; // prettier-ignore

const DATES = [
  '2020-01-05', 'Jan 5 2020', '5 January 2020', '01/02/2003', '20200105', '2020-02-30', 'infinity', '-infinity', 'epoch',
  '2020-01-05 10:00', '4714-11-24 BC', '4714-11-23 BC', '5874897-12-31', '5874898-01-01', 'x', '2020-1', '1999-Jan-08',
  '08-Jan-1999', '99-Jan-08', '1999.008', 'J2451187', 'January 8, 99 BC', '13/13/2020', '200101', '01 08 99', '99 01 08',
]; // prettier-ignore

const TIMES = [
  '10:00', '04:05:06.789', '04:05:06', '04:05', '040506', '04:05 AM', '04:05 PM', '12:00 AM', '23:59:59.9999999', '24:00:00',
  '24:00:01', '25:00', '10:60', 'allballs', 'x', '04:05:06.789-8', '04:05:06-08:00', '04:05-08:00', '040506-08',
  '04:05:06 PST', '2003-04-12 04:05:06 America/New_York', '0405', '', '04:05:06+15:59:59', '04:05:06+16',
]; // prettier-ignore

const INTERVALS = [
  '1 day', '1 year 2 mons 3 days 04:05:06', '-1 days +02:03:00', '1-2', '-1-2', '1-2 3 4:05:06', '3 4:05:06', '04:05:06.789',
  'P1Y2M3DT4H5M6S', 'P0001-02-03T04:05:06', 'PT0.5S', 'P-1Y', 'P1W', '@ 1 year ago', '1 hour ago', '1.5 days', '1.5 years',
  '1.5 months', '2.5 weeks', '0.3 sec', '-1.5 hours', '1 week', '1 decade 1 century 1 millennium', '30 mins', '90 seconds',
  '5', '-5', '5.25', '00:00', '0', '1 mon -1 day', '-1 mon +1 day', '1 year -1 mon', '1 day -00:00:01', '100:00:00',
  'x', '', '1 foo', '1 day 1 day', 'P', 'PT', '178956970 years', '178956971 years', '2147483648 days', '1 y 2 m', '1d 2h 3m 4s', '1y2m3d', '1h30m', '2 mons3 days', '1 year2 mons', '1 mon. 1 day', '1day', '1day 2:03',
  '1 us', '5 ms', '1-13', '10:61', '1 day ago ago', '-00:00:00.000001', '1 year 1', '1e3 days', '3 days 4', '24:00:00', '1:02.5',
]; // prettier-ignore

export const VALUE_CASES: readonly ValueCases[] = [
  { type: 'boolean', inputs: ['t', 'true', 'TRUE', 'tr', 'y', 'yes', 'on', 'o', 'of', 'off', '1', '0', 'f', ' n ', '', '2', 'truex'] },
  { type: 'smallint', inputs: ['1', '-32768', '32767', '32768', '-32769', 'a', '', ' 5 ', '+5', '5.0', '1e2'] },
  { type: 'integer', inputs: ['1', '-2147483648', '2147483647', '2147483648', 'x', '', ' 12 ', '+7', '--1', '0x10', '007'] },
  { type: 'bigint', inputs: ['9223372036854775807', '-9223372036854775808', '9223372036854775808', 'x', '  -0'] },
  { type: 'oid', inputs: ['0', '4294967295', '4294967296', '-1', 'x'] },
  { type: 'real', inputs: ['1.5', '0.1', '1e10', '1e-10', '3.4028235e38', '3.5e38', '1e-46', 'NaN', 'inf', '-Infinity', 'x', '16777217', '123456', '1234567', '-0', '1e6', '1.17549435e-38'] },
  { type: 'double precision', inputs: ['1.5', '0.1', '1e15', '1e14', '123456789012345678', '1e-5', '0.0001', '1e308', '1e309', '1e-400', 'NaN', ' inf ', '-infinity', 'x', '', '-0', '.5', '5.', '1e', '0.30000000000000004', '5e-324', 'nan'] },
  { type: 'double precision', settings: { extra_float_digits: '0' }, inputs: ['0.30000000000000004', '0.1', '1e15', '123456.789'] },
  { type: 'numeric', inputs: ['0', '0.00', '-0.0', '1', '1.10', '123.456', '-123.456', '1e10', '1e-10', '1.5e3', '.5', '5.', '+7', 'NaN', 'nan', 'inf', '-Infinity', 'x', '', '1e', '1..2', ' 12 ', '1e131072', '1e-16384', '1e50', '1e-50', '99999999999999999999999999999.99999', '0e5', '000123', '1 2'] },
  { type: 'numeric(10,2)', inputs: ['1', '1.005', '-1.005', '99999999.99', '99999999.995', '100000000', '0.004', 'inf', '1e-5'] },
  { type: 'numeric(30,5)', inputs: ['1', '1.000005', 'NaN', '9999999999999999999999999.99999', '1e25', '-inf'] },
  { type: 'numeric(3,-2)', inputs: ['12345', '50', '49', '99999', '99949'] },
  { type: 'numeric(2,4)', inputs: ['0.0012', '0.00999', '0.01', '1'] },
  { type: 'text', inputs: ['', 'a', ' a ', 'é', '\u{1f600}'] },
  { type: 'varchar(3)', inputs: ['abc', 'ab  ', 'abc  ', 'éèê'] },
  { type: 'char(3)', inputs: ['a', 'abc', 'abc  ', 'é', ''] },
  { type: 'name', inputs: ['a', 'x'.repeat(70), 'é'.repeat(40)] },
  { type: 'bytea', inputs: ['\\xdeadBEEF', '\\x', '\\xd', '\\xzz', 'abc', 'a\\\\b', '\\001\\377', '\\9', '\\x de ad', 'é'] },
  { type: 'bytea', settings: { bytea_output: 'escape' }, inputs: ['\\xdeadbeef', 'abc', '\\x005c7f'] },
  { type: 'uuid', inputs: ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'A0EEBC999C0B4EF8BB6D6BB9BD380A11', '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}', 'a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11', 'x', '', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1', 'a0eebc99--9c0b-4ef8-bb6d-6bb9bd380a11'] },
  { type: 'json', inputs: ['{"a" : 1}', '[1,2', 'x', '', '"\\u00e9"', '1e5', '01', '"\\ud83d"', '"\\u0000"', 'nulls'] },
  { type: 'jsonb', inputs: ['{"b":1,"a":[1.50,2e2,-0.0]}', '{"a":1,"a":2}', '{"bb":1,"c":2,"a":3}', '"a\\u0001b\\/"', '"\\u0000"', 'nul', '[]', '{}', ' null ', '"\u{1f600}"', '"\\ud83d\\ude00"', '"\\ud83d"', '"\\ude00x"', '"\\ud83d\\ud83d"', '1E40', '{"a":{"b":[{}]}}', '[1,]', '"\\x"', '"tab\\tq\\""'] },
  { type: 'timestamp', inputs: TIMESTAMPS },
  { type: 'timestamp(0)', inputs: ['2020-01-05 10:00:00.5', '2020-01-05 10:00:00.4', '1999-12-31 23:59:59.5', '1969-12-31 23:59:59.5'] },
  { type: 'timestamp(3)', inputs: ['2020-01-05 10:00:00.1235', '1969-12-31 23:59:59.0005'] },
  { type: 'timestamptz', inputs: TIMESTAMPS },
  { type: 'timestamptz', settings: { timezone: 'America/New_York' }, inputs: TIMESTAMPS },
  { type: 'timestamptz', settings: { timezone: 'Asia/Kolkata', datestyle: 'SQL, DMY' }, inputs: ['2020-01-05 10:00:00+00', '1/2/2003 10:00', '0044-03-15 BC', 'infinity'] },
  { type: 'timestamptz', settings: { timezone: '+08', datestyle: 'ISO' }, inputs: ['2020-01-05 10:00:00+00'] },
  { type: 'timestamptz', settings: { timezone: 'America/New_York', datestyle: 'Postgres, MDY' }, inputs: ['2020-07-05 10:00:00.25+00', '2020-01-05 10:00:00', '0044-03-15 12:00 BC'] },
  { type: 'timestamp', settings: { datestyle: 'Postgres, DMY' }, inputs: TIMESTAMPS.slice(0, 40) },
  { type: 'timestamp', settings: { datestyle: 'German, YMD' }, inputs: TIMESTAMPS.slice(0, 40) },
  { type: 'timestamp', settings: { datestyle: 'SQL, MDY' }, inputs: ['2020-01-05 10:00:00.5', '0044-03-15 BC'] },
  { type: 'date', inputs: DATES },
  { type: 'date', settings: { datestyle: 'SQL, DMY' }, inputs: DATES },
  { type: 'date', settings: { datestyle: 'Postgres, YMD' }, inputs: DATES },
  { type: 'date', settings: { datestyle: 'German, DMY' }, inputs: DATES },
  { type: 'time', inputs: TIMES },
  { type: 'time(2)', inputs: ['10:00:00.125', '23:59:59.999'] },
  { type: 'timetz', inputs: TIMES },
  { type: 'interval', inputs: INTERVALS },
  { type: 'interval', settings: { intervalstyle: 'postgres_verbose' }, inputs: INTERVALS },
  { type: 'interval', settings: { intervalstyle: 'sql_standard' }, inputs: INTERVALS },
  { type: 'interval', settings: { intervalstyle: 'iso_8601' }, inputs: INTERVALS },
  { type: 'interval(2)', inputs: ['1.255 sec', '-1.255 sec'] },
  { type: 'interval year to month', inputs: ['1', '1-2', '1 year 2 mons 3 days'] },
  { type: 'interval day to minute', inputs: ['1', '1 10:20:30', '5'] },
  { type: 'interval hour', inputs: ['1', '1 10:20:30'] },
  { type: 'interval minute to second(1)', inputs: ['10:20', '10:20.55', '1'] },
  { type: 'integer[]', inputs: ['{1,2,3}', '{}', '{NULL,null,1}', '{{1,2},{3,4}}', '{{1},{2,3}}', '{1,{2}}', '{{1},2}', '[1:2]={1,2}', '[1:3]={1,2}', '{1,2', '1,2', '{1,,2}', '{1,}', '{1}x', ' { 1 , 2 } ', '{"1","2"}', '{a}', '{{},{}}', '{{{{{{{1}}}}}}}', '{1 2}'] },
  { type: 'text[]', inputs: ['{a,b}', '{"a b","c,d","e\\"f","g\\\\h"}', '{"","NULL",NULL}', '{a b, c }', '{a\\,b}', '{é,"{}"}', '{"a"b}', '{nulls}'] },
  { type: 'numeric[]', inputs: ['{1.10,NaN,-2}', '{x}'] },
  { type: 'numeric(10,1)[]', inputs: ['{1.15,2}'] },
  { type: 'boolean[]', inputs: ['{t,f,NULL}'] },
  { type: 'double precision[]', inputs: ['{1.5,NaN,inf,-0,1e20}'] },
  { type: 'timestamptz[]', inputs: ['{"2020-01-05 10:00:00+00",infinity}'] },
  { type: 'bytea[]', inputs: ['{"\\\\xdead",abc}'] },
  { type: 'interval[]', inputs: ['{1 day,"1 mon -1 day"}'] },
  { type: 'char(3)[]', inputs: ['{a,abc}'] },
]; // prettier-ignore
