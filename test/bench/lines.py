# The lines of the benchmark's table: what is held against what, and within which limit.
from statistics import median
from typing import NamedTuple, Optional


class Line(NamedTuple):
    section: str
    what: str
    unit: str  # of both samples: ns, us, ms, /s, B
    ours: str  # name of the sample
    against: str
    theirs: str
    way: str  # time: ours / theirs; faster: theirs / ours; rate: ours / theirs, more is better; over: ours - theirs; count: the most of any round
    limit: Optional[float] = None


SIZES = {16: '16 B', 64: '64 B', 1024: '1 kB', 1048576: '1 MB'}


def lines():
    section = 'One value: CPU time of the backend'
    for function in ('tp_encrypt', 'tp_decrypt'):
        for size, name in SIZES.items():
            at_64 = lambda limit: limit if size == 64 else None
            sample = f'{function} {size} '
            gcm, xaes, peer = sample + 'aes-256-gcm ', sample + 'xaes-256-gcm ', sample + 'pgcrypto '
            what = f'{function} {name}'
            yield Line(section, f'{what}, AES-256-GCM', 'ns', gcm + 'tp', 'EVP loop + copying function', gcm + 'evp+copy', 'time', at_64(1.15))
            yield Line(section, f'{what}, AES-256-GCM', 'ns', gcm + 'tp', 'bare EVP loop', gcm + 'evp', 'time')
            yield Line(section, f'{what}, AES-256-GCM', 'ns', gcm + 'tp', 'copying function', gcm + 'copy', 'time')
            yield Line(section, f'{what}, XAES-256-GCM', 'ns', xaes + 'tp', 'AES-256-GCM', gcm + 'tp', 'time', at_64(1.05))
            yield Line(section, f'{what}, XAES-256-GCM', 'ns', xaes + 'tp', 'pgp_sym, default', peer + 'pgp', 'faster', at_64(600))
            yield Line(section, f'{what}, XAES-256-GCM', 'ns', xaes + 'tp', 'pgp_sym, s2k-mode=0', peer + 's2k0', 'faster', at_64(15))
            yield Line(section, f'{what}, XAES-256-GCM', 'ns', xaes + 'tp', 'CBC, random iv, HMAC', peer + 'cbc', 'faster', at_64(12))

    section = 'Connections: by the clock'
    yield Line(section, 'first query decrypts, preloaded', 'ms', 'first trustpoint decrypt', 'SELECT 1', 'first trustpoint one', 'over', 0.25)
    yield Line(section, '  the same, CPU time of the backend', 'ms', 'first trustpoint decrypt cpu', 'SELECT 1', 'first trustpoint one cpu', 'over')
    yield Line(section, 'first query decrypts, not preloaded', 'ms', 'first cold decrypt', 'SELECT 1', 'first cold one', 'over')
    yield Line(section, '  the same, CPU time of the backend', 'ms', 'first cold decrypt cpu', 'SELECT 1', 'first cold one cpu', 'over')
    yield Line(section, 'first connection of a server, connect to close', 'ms', 'start decrypt', 'SELECT 1', 'start one', 'over')
    yield Line(section, '50 at once decrypt, server just started', 'ms', 'fifty decrypt', 'SELECT 1', 'fifty one', 'time', 1.10)
    yield Line(section, '  the same, CPU time of the backends', 'ms', 'fifty decrypt cpu', 'SELECT 1', 'fifty one cpu', 'time')
    yield Line(section, '  errors', '', 'fifty decrypt errors', 'SELECT 1', 'fifty one errors', 'count', 0)
    yield Line(section, '  logins to the token', '', 'fifty decrypt logins', 'SELECT 1', 'fifty one logins', 'count', 1)
    yield Line(section, 'connect and decrypt, 8 clients', '/s', 'connect decrypt tps', 'connect, SELECT 1', 'connect one tps', 'rate', 0.93)
    yield Line(section, '  the same, CPU time of a backend', 'us', 'connect decrypt cpu', 'connect, SELECT 1', 'connect one cpu', 'time')

    section = 'pgbench, 4 clients, values of 64 B: by the clock'
    yield Line(section, 'INSERT, synchronous_commit off', '/s', 'insert encrypted tps', 'plain column', 'insert plain tps', 'rate', 0.90)
    yield Line(section, '  the same, CPU time of the backend', 'us', 'insert encrypted cpu', 'plain column', 'insert plain cpu', 'time')
    yield Line(section, 'SELECT by key', '/s', 'select encrypted tps', 'plain column', 'select plain tps', 'rate', 0.93)
    yield Line(section, '  the same, CPU time of the backend', 'us', 'select encrypted cpu', 'plain column', 'select plain cpu', 'time')

    section = 'Whole tables of values of 64 B: CPU time of the backend for a row; the parallel query by the clock'
    yield Line(section, 'INSERT ... SELECT tp_encrypt', 'ns', 'insert tp', 'copying function', 'insert copy', 'time', 1.35)
    yield Line(section, 'INSERT ... SELECT tp_encrypt', 'ns', 'insert tp', 'plain column', 'insert plain', 'time')
    yield Line(section, 'COPY in, then INSERT ... SELECT tp_encrypt', 'ns', 'copy in insert tp', 'copying function', 'copy in insert copy', 'time')
    yield Line(section, 'COPY in, then INSERT ... SELECT tp_encrypt', 'ns', 'copy in insert tp', 'COPY in, plain column', 'copy in plain', 'time')
    yield Line(section, 'COPY (SELECT tp_decrypt ...) out', 'ns', 'copy out tp', 'plain column', 'copy out plain', 'time')
    yield Line(section, 'parallel tp_decrypt, 2 processes', 'ms', 'parallel', 'serial', 'serial', 'faster', 1.75)
    yield Line(section, 'tp_reencrypt_column of a table, CPU', 'ms', 'reencrypt tp', 'plain UPDATE', 'reencrypt plain', 'time')

    section = 'Bytes of heap for a row: an integer and the value'
    for size in (16, 64, 256):
        yield Line(section, f'{size} B, XAES-256-GCM', 'B', f'heap {size} xaes-256-gcm', 'plain', f'heap {size} plain', 'time')
        yield Line(section, f'{size} B, AES-256-GCM', 'B', f'heap {size} aes-256-gcm', 'plain', f'heap {size} plain', 'time')
        yield Line(section, f'{size} B, XAES-256-GCM', 'B', f'heap {size} xaes-256-gcm', 'CBC, random iv, HMAC', f'heap {size} cbc', 'time')
        yield Line(section, f'{size} B, XAES-256-GCM', 'B', f'heap {size} xaes-256-gcm', 'pgp_sym, s2k-mode=0', f'heap {size} s2k0', 'time')

    section = 'Signatures by SoftHSM: CPU time'
    for key, name in (('rsa', 'RSA-2048'), ('ec', 'P-256')):
        for objects in (10, 1000):
            yield Line(section, f'tp_sign {name}, {objects} objects in the token', 'ns', f'bench {key} {objects} none', 'bare C_SignInit, C_Sign',
                       f'bench {key} {objects} bare', 'time')
        yield Line(section, f'  with an audit line for each use', 'ns', f'bench {key} 1000 keys', 'bare C_SignInit, C_Sign',
                   f'bench {key} 1000 bare', 'time')


def read_samples(path):
    samples = {}
    with open(path) as file:
        for row in file:
            what, number, value = row.rstrip('\n').split('\t')
            samples.setdefault(what, {})[number] = float(value)
    return samples


class Result(NamedTuple):
    line: Line
    ours: float
    theirs: float
    ratio: float
    good: Optional[bool]


def result(line, samples):
    """Medians; the ratio is the median of the rounds' own, as what disturbs a round disturbs both of its sides."""
    ours, theirs = samples[line.ours], samples[line.theirs]
    if line.way == 'count':
        most = max(ours.values())
        return Result(line, most, max(theirs.values()), most, most <= line.limit)
    of = {'time': lambda a, b: a / b, 'rate': lambda a, b: a / b, 'faster': lambda a, b: b / a, 'over': lambda a, b: a - b}[line.way]
    ratio = median(of(ours[round], theirs[round]) for round in ours if round in theirs)
    good = None
    if line.limit is not None:
        good = ratio <= line.limit if line.way in ('time', 'over') else ratio >= line.limit
    return Result(line, median(ours.values()), median(theirs.values()), ratio, good)


def number(value):
    """Three digits that count."""
    for digits, bound in ((3, 1), (2, 10), (1, 100)):
        if value and abs(value) < bound:
            return f'{value:.{digits}f}'
    return f'{value:,.0f}'.replace(',', ' ')
