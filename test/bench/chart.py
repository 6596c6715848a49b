# chart.py SAMPLES: the chart of RESULTS.md, as SVG: a value beside the alternatives, and whole jobs beside the same without trustpoint.
import sys
from html import escape
from math import floor, log10
from statistics import median

from lines import lines, number, read_samples, result

WIDTH, LEFT, RIGHT, BAR = 860, 300, 70, 14
ENCRYPT, DECRYPT, OVER, MARK, GRID, INK = '#2b6cb0', '#8fbce6', '#c05621', '#1a202c', '#d9dee5', '#2d3748'
parts = []


def put(name, content=None, **attributes):
    text = ''.join(f' {key.replace("_", "-")}="{value:.1f}"' if isinstance(value, float) else f' {key.replace("_", "-")}="{value}"'
                   for key, value in attributes.items())
    parts.append(f'<{name}{text}/>' if content is None else f'<{name}{text}>{escape(content)}</{name}>')


def label(x, y, content, anchor='start', **attributes):
    put('text', content, x=float(x), y=float(y), text_anchor=anchor, **attributes)


def grid(top, bottom, ticks, place):
    for value, name in ticks:
        put('line', x1=float(place(value)), x2=float(place(value)), y1=float(top), y2=float(bottom), stroke=GRID)
        label(place(value), bottom + 16, name, 'middle', fill='#718096')


def values(samples, top):
    """One value of 64 bytes, on a logarithmic scale: two bars for each way to encrypt it."""
    rows = (('copying function', 'aes-256-gcm copy'), ('EVP loop + copying function', 'aes-256-gcm evp+copy'),
            ('trustpoint, AES-256-GCM', 'aes-256-gcm tp'), ('trustpoint, XAES-256-GCM (default)', 'xaes-256-gcm tp'),
            ('pgcrypto, CBC with random iv and HMAC', 'pgcrypto cbc'), ('pgcrypto, pgp_sym with s2k-mode=0', 'pgcrypto s2k0'),
            ('pgcrypto, pgp_sym', 'pgcrypto pgp'))
    first, last = 1, 6  # 10 ns to 1 ms

    def place(ns):
        return LEFT + (WIDTH - LEFT - RIGHT) * (log10(max(ns, 10)) - first) / (last - first)
    label(16, top, 'One value of 64 bytes', font_size=17, font_weight='bold')
    label(16, top + 20, 'CPU time of the backend, logarithmic scale; less is better')
    for i, (name, color) in enumerate((('tp_encrypt and its like', ENCRYPT), ('tp_decrypt and its like', DECRYPT))):
        put('rect', x=float(WIDTH - RIGHT - 330 + 175 * i), y=float(top - 11), width=12, height=12, fill=color)
        label(WIDTH - RIGHT - 313 + 175 * i, top, name)
    top += 36
    bottom = top + len(rows) * 44
    grid(top, bottom, list(zip((10, 100, 1e3, 1e4, 1e5, 1e6), ('10 ns', '100 ns', '1 µs', '10 µs', '100 µs', '1 ms'))), place)
    for i, (name, what) in enumerate(rows):
        y = top + 8 + 44 * i
        label(LEFT - 10, y + 20, name, 'end', font_weight='bold' if name.startswith('trustpoint') else 'normal')
        for j, (function, color) in enumerate((('tp_encrypt', ENCRYPT), ('tp_decrypt', DECRYPT))):
            ns = median(samples[f'{function} 64 {what}'].values())
            put('rect', x=float(LEFT), y=float(y + j * (BAR + 1)), width=place(ns) - LEFT, height=BAR, fill=color)
            label(place(ns) + 5, y + j * (BAR + 1) + 11, number(ns / 1000) + ' µs' if ns >= 1000 else f'{ns:.0f} ns')
    return bottom + 30


def jobs(samples, top):
    """What has a limit and is no single value: how much longer it takes, 1 being the same without encryption."""
    rows = []
    for line in lines():
        if line.limit is None or line.section.startswith('One value') or line.way == 'count':
            continue
        one = result(line, samples)
        ratio, limit = one.ratio, line.limit
        if line.way in ('rate', 'faster'):
            ratio, limit = 1 / ratio, 1 / limit
        elif line.way == 'over':
            ratio, limit = (one.theirs + ratio) / one.theirs, (one.theirs + limit) / one.theirs
        rows.append((line.what, line.against, ratio, limit))
    high = max(2, floor(max(max(row[2:]) for row in rows)) + 1)

    def place(ratio):
        return LEFT + (WIDTH - LEFT - RIGHT) * ratio / high
    label(16, top, 'Whole jobs', font_size=17, font_weight='bold')
    label(16, top + 20, 'time beside that of the job in grey, which counts as 1; less is better')
    mark = float(WIDTH - RIGHT - 80)
    put('line', x1=mark, x2=mark, y1=float(top - 13), y2=float(top + 3), stroke=MARK, stroke_width=3)
    label(mark + 8, top, 'aimed at')
    top += 36
    bottom = top + len(rows) * 40
    step = 1 if high > 3 else 0.5
    grid(top, bottom, [(step * i, f'{step * i:g}') for i in range(int(high / step) + 1)], place)
    put('line', x1=float(place(1)), x2=float(place(1)), y1=float(top), y2=float(bottom), stroke=INK, stroke_dasharray='4 3')
    for i, (name, against, ratio, limit) in enumerate(rows):
        y = top + 8 + 40 * i
        label(LEFT - 10, y + 11, name, 'end')
        label(LEFT - 10, y + 25, against, 'end', fill='#718096', font_size=11)
        put('rect', x=float(LEFT), y=float(y + 2), width=place(ratio) - LEFT, height=18, fill=ENCRYPT if ratio <= limit else OVER)
        put('line', x1=float(place(limit)), x2=float(place(limit)), y1=float(y - 2), y2=float(y + 24), stroke=MARK, stroke_width=3)
        label(place(max(ratio, limit)) + 8, y + 16, f'{ratio:.2f}')
    return bottom + 30


samples = read_samples(sys.argv[1])
height = jobs(samples, values(samples, 34) + 34)
print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
      f'font-family="DejaVu Sans, Verdana, sans-serif" font-size="12" fill="{INK}">')
print(f'<rect width="{WIDTH}" height="{height}" fill="white"/>')
print('\n'.join(parts) + '\n</svg>')
