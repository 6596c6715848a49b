# The lines of the benchmark's table: what is held against what, and within which limit.
from statistics import median
from typing import NamedTuple, Optional


class Line(NamedTuple):
    section: str
    what: str
    unit: str  # of both samples: ns, us, ms, /s, B, or '' for a number
    ours: str  # name of the sample
    against: str
    theirs: str
    way: str  # see result()
    limit: Optional[float] = None


def values():
    for function in ('tp_encrypt', 'tp_decrypt'):
        for size, name in ((16, '16 B'), (64, '64 B'), (1024, '1 kB'), (1048576, '1 MB')):
            gcm, xaes, peer = (f'{function} {size} {suite} ' for suite in ('aes-256-gcm', 'xaes-256-gcm', 'pgcrypto'))
            rows = (('AES', gcm, 'EVP loop + copying function', gcm + 'evp+copy', 'time', 1.15),
                    ('AES', gcm, 'bare EVP loop', gcm + 'evp', 'time', None),
                    ('AES', gcm, 'copying function', gcm + 'copy', 'time', None),
                    ('XAES', xaes, 'AES-256-GCM', gcm + 'tp', 'time', 1.05),
                    ('XAES', xaes, 'pgp_sym, default', peer + 'pgp', 'faster', 600),
                    ('XAES', xaes, 'pgp_sym, s2k-mode=0', peer + 's2k0', 'faster', 15),
                    ('XAES', xaes, 'CBC, random iv, HMAC', peer + 'cbc', 'faster', 12))
            for suite, ours, against, theirs, way, limit in rows:
                yield f'{function} {name}, {suite}-256-GCM', 'ns', ours + 'tp', against, theirs, way, limit if size == 64 else None


CONNECTIONS = (
    ('first query decrypts, preloaded', 'ms', 'first trustpoint decrypt', 'SELECT 1', 'first trustpoint one', 'over', 0.25),
    ('  the same, CPU time of the backend', 'ms', 'first trustpoint decrypt cpu', 'SELECT 1', 'first trustpoint one cpu', 'over'),
    ('  a function of ours that needs no key', 'ms', 'first trustpoint keyless', 'SELECT 1', 'first trustpoint one', 'over'),
    ("  PostgreSQL's octet_length of the value", 'ms', 'first trustpoint builtin', 'SELECT 1', 'first trustpoint one', 'over'),
    ('first query decrypts, not preloaded', 'ms', 'first cold decrypt', 'SELECT 1', 'first cold one', 'over'),
    ('  the same, CPU time of the backend', 'ms', 'first cold decrypt cpu', 'SELECT 1', 'first cold one cpu', 'over'),
    ('first connection of a server, connect to close', 'ms', 'start decrypt', 'SELECT 1', 'start one', 'over'),
    ('50 at once decrypt, server just started', 'ms', 'fifty decrypt', 'SELECT 1', 'fifty one', 'time', 1.10),
    ('  the same, CPU time of the backends', 'ms', 'fifty decrypt cpu', 'SELECT 1', 'fifty one cpu', 'time'),
    ('  errors', '', 'fifty decrypt errors', 'SELECT 1', 'fifty one errors', 'count', 0),
    ('  logins to the token', '', 'fifty decrypt logins', 'SELECT 1', 'fifty one logins', 'count', 1),
    ('connect and decrypt, 8 clients', '/s', 'connect decrypt tps', 'connect, SELECT 1', 'connect one tps', 'rate', 0.93),
    ('  the same, CPU time of a backend', 'us', 'connect decrypt cpu', 'connect, SELECT 1', 'connect one cpu', 'time'))

PGBENCH = (
    ('INSERT, synchronous_commit off', '/s', 'insert encrypted tps', 'plain column', 'insert plain tps', 'rate', 0.90),
    ('  the same, CPU time of the backend', 'us', 'insert encrypted cpu', 'plain column', 'insert plain cpu', 'time'),
    ('  copying function instead', '/s', 'insert copied tps', 'plain column', 'insert plain tps', 'rate'),
    ('SELECT by key', '/s', 'select encrypted tps', 'plain column', 'select plain tps', 'rate', 0.93),
    ('  the same, CPU time of the backend', 'us', 'select encrypted cpu', 'plain column', 'select plain cpu', 'time'),
    ('  copying function instead', '/s', 'select copied tps', 'plain column', 'select plain tps', 'rate'))

TABLES = (
    ('INSERT ... SELECT tp_encrypt', 'ns', 'insert tp', 'copying function', 'insert copy', 'time', 1.35),
    ('  the same, by the clock', 'ns', 'insert tp clock', 'copying function', 'insert copy clock', 'time', 1.35),
    ('INSERT ... SELECT tp_encrypt', 'ns', 'insert tp', 'plain column', 'insert plain', 'time'),
    ('COPY in, then INSERT ... SELECT tp_encrypt', 'ns', 'copy in insert tp', 'copying function', 'copy in insert copy', 'time'),
    ('COPY in, then INSERT ... SELECT tp_encrypt', 'ns', 'copy in insert tp', 'COPY in, plain column', 'copy in plain', 'time'),
    ('COPY (SELECT tp_decrypt ...) out', 'ns', 'copy out tp', 'plain column', 'copy out plain', 'time'),
    ('parallel tp_decrypt, 2 processes', 'ms', 'parallel', 'serial', 'serial', 'faster', 1.75),
    ('tp_reencrypt_column of a table', 'ms', 'reencrypt tp', 'plain UPDATE', 'reencrypt plain', 'time'))


def heap():
    for size in (16, 64, 256):
        for ours, against, theirs in (('xaes-256-gcm', 'plain', 'plain'), ('aes-256-gcm', 'plain', 'plain'),
                                      ('xaes-256-gcm', 'CBC, random iv, HMAC', 'cbc'), ('xaes-256-gcm', 'pgp_sym, s2k-mode=0', 's2k0')):
            yield f'{size} B, {ours.upper()}', 'B', f'heap {size} {ours}', against, f'heap {size} {theirs}', 'time'


def signatures():
    bare = 'bare C_SignInit, C_Sign'
    for key, name in (('rsa', 'RSA-2048'), ('ec', 'P-256')):
        for objects in (10, 1000):
            sample = f'bench {key} {objects} '
            yield f'tp_sign {name}, {objects} objects in the token', 'ns', sample + 'none', bare, sample + 'bare', 'time'
        yield '  with an audit line for each use', 'ns', sample + 'keys', bare, sample + 'bare', 'time'


def lines():
    for section, rows in (('One value: CPU time of the backend', values()),
                          ('Connections: by the clock', CONNECTIONS),
                          ('pgbench, 4 clients, values of 64 B: by the clock', PGBENCH),
                          ('Tables of values of 64 B: CPU time of the backend for a row, the parallel query by the clock', TABLES),
                          ('Bytes of heap for a row: an integer and the value', heap()),
                          ('Signatures by SoftHSM: CPU time of the backend', signatures())):
        for row in rows:
            yield Line(section, *row)


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
    good: Optional[bool]  # None: no limit


# Ours and theirs; the limit of the last two is a least one.
RATIOS = {'time': lambda a, b: a / b, 'over': lambda a, b: a - b, 'faster': lambda a, b: b / a, 'rate': lambda a, b: a / b}


def result(line, samples):
    """Medians; the ratio is the median of the rounds' own, as what disturbs a round disturbs both of its sides."""
    ours, theirs = samples[line.ours], samples[line.theirs]
    if line.way == 'count':
        most = max(ours.values())
        return Result(line, most, max(theirs.values()), most, most <= line.limit)
    ratio = median(RATIOS[line.way](ours[round], theirs[round]) for round in ours if round in theirs)
    good = None if line.limit is None else ratio >= line.limit if line.way in ('faster', 'rate') else ratio <= line.limit
    return Result(line, median(ours.values()), median(theirs.values()), ratio, good)


def number(value):
    """Three digits that count."""
    for digits, bound in ((3, 1), (2, 10), (1, 100)):
        if value and abs(value) < bound:
            return f'{value:.{digits}f}'
    return f'{value:,.0f}'.replace(',', ' ')
