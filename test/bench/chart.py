# chart.py SAMPLES: the chart of RESULTS.md, as SVG.
import sys
