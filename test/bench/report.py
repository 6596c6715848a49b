# report.py SAMPLES: the table as text. report.py SAMPLES MACHINE: RESULTS.md, MACHINE being a file of lines "| what | is |".
import sys

from lines import lines, number, read_samples, result

HEAD = ('what', 'ours', 'against', 'theirs', 'ratio', 'limit', '')
ABOUT = '''# What trustpoint costs

`make bench` prints this table and renews this file. Figures are medians of interleaved rounds; a ratio is the median of the rounds' own
ratios, so it is not always that of the two figures beside it. No limit is a test: the benchmark never fails a build.

- CPU time of one value is that of a query with the function less that of the same query without it, over a few rows
  that are read many times. "copying function" is a C function that
  copies its argument into a result of the ciphertext's size, or back; "EVP loop" is OpenSSL's AES-256-GCM in a bare loop, with the same
  additional data and a context that is kept. XAES-256-GCM is the default suite.
- `pgp_sym`'s default works hard on a passphrase; `s2k-mode=0` does not. CBC is `encrypt_iv` with a random iv, and an HMAC over both that is
  checked before anything is decrypted.
- A difference (+) is what a connection waits longer. "not preloaded": each connection logs in to the token.

![One value beside the alternatives, and whole jobs beside the same without encryption](results.svg)
'''
SCALES = {'ns': (('ns', 1), ('us', 1e3), ('ms', 1e6)), 'us': (('us', 1), ('ms', 1e3)), 'ms': (('ms', 1), ('s', 1e3))}


def figure(value, unit):
    scales = SCALES.get(unit, ((unit, 1),))
    if not unit:
        return f'{value:.0f}'
    name, scale = next((s for s in reversed(scales) if abs(value) >= s[1] * 10), scales[0])
    return f'{number(value / scale)} {name}'


def cells(result):
    line, limit = result.line, result.line.limit
    ratio = {'over': f'{"+" * (result.ratio >= 0)}{number(result.ratio)} {line.unit}', 'count': '', 'faster': f'{number(result.ratio)} x faster'}.get(
        line.way, f'{result.ratio:.2f}')
    sign = '<=' if line.way in ('time', 'over', 'count') else '>='
    bound = ''
    if limit is not None:
        bound = {'over': f'{sign} +{limit} {line.unit}', 'count': f'{sign} {limit}', 'faster': f'{sign} {limit:g} x'}.get(
            line.way, f'{sign} {limit:.2f}')
    verdict = {None: '', True: 'ok', False: 'over' if sign == '<=' else 'under'}[result.good]
    return (line.what, figure(result.ours, line.unit), line.against, figure(result.theirs, line.unit), ratio, bound, verdict)


def text(results):
    rows = [cells(r) for r in results]
    widths = [max(len(row[i]) for row in [HEAD] + rows) for i in range(len(HEAD))]
    right = (1, 3, 4)

    def put(row):
        print('  '.join(c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths))).rstrip())
    put(HEAD)
    section = None
    for one, row in zip(results, rows):
        if one.line.section != section:
            section = one.line.section
            print(f'-- {section}')
        put(row)


def markdown(results, machine):
    print(ABOUT)
    print(f'| on | |\n| --- | --- |\n{machine}')
    section = None
    for one in results:
        if one.line.section != section:
            section = one.line.section
            print(f'\n## {section}\n')
            print('| ' + ' | '.join(HEAD) + ' |\n| --- | ---: | --- | ---: | ---: | --- | --- |')
        row = [cell.strip().replace('us', 'µs') if i in (1, 3) else cell.strip() for i, cell in enumerate(cells(one))]
        print('| ' + ' | '.join(row).replace('<=', '≤').replace('>=', '≥').replace(' x', ' ×') + ' |')


samples = read_samples(sys.argv[1])
table = [result(line, samples) for line in lines()]
if len(sys.argv) > 2:
    with open(sys.argv[2]) as file:
        markdown(table, file.read())
else:
    text(table)
