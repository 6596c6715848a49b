"""The first query of a new connection: a row with a column that is decrypted, beside the same row in clear.

The encrypted row with its ciphertext and without, a table with fewer indexes, and the plain row through functions of
PostgreSQL's own show what else the query costs.
"""

import os
import statistics
import sys
import time
from pathlib import Path

import django

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
django.setup()

from django.db import connection, models  # noqa: E402
from django.db.models.expressions import RawSQL  # noqa: E402
from django.db.models.functions import MD5, Reverse  # noqa: E402

from vault.models import Person, Site  # noqa: E402

ROUNDS = 300


class PlainSite(models.Model):
    """Site, in clear."""

    name = models.CharField(max_length=50, unique=True)
    note = models.TextField(blank=True, default="")

    class Meta:
        app_label = "vault"


def first(query):
    """Microseconds of connecting, and of the first query after it."""
    connection.close()
    start = time.perf_counter()
    connection.ensure_connection()
    connected = time.perf_counter()
    query()
    return (connected - start) * 1e6, (time.perf_counter() - connected) * 1e6


with connection.schema_editor() as editor:
    editor.create_model(PlainSite)
plain = PlainSite.objects.create(name="site", note="a secret of some length")
person = Person.objects.create(name="plain")
site = Site.objects.create(name="site", note="a secret of some length")
queries = {
    "plain": lambda: PlainSite.objects.get(pk=plain.pk),
    "decrypted": lambda: Site.objects.get(pk=site.pk),
    "as it is stored": lambda: Site.objects.defer("note").annotate(stored=RawSQL("note", ())).get(pk=site.pk),
    "without the secret": lambda: Site.objects.defer("note").get(pk=site.pk),
    "a plainer table": lambda: Person.objects.get(pk=person.pk),
    "plain, md5()": lambda: PlainSite.objects.defer("note").annotate(digest=MD5("note")).get(pk=plain.pk),
    "plain, reverse()": lambda: PlainSite.objects.defer("note").annotate(reversed=Reverse("note")).get(pk=plain.pk),
}
times = {name: [] for name in queries}
for turn in range(ROUNDS + 20):
    for name, query in queries.items():
        measured = first(query)
        if turn >= 20:
            times[name].append(measured)


def tenth(values):
    """What a tenth of the rounds undercut: on a loaded machine the median measures its neighbours."""
    return statistics.quantiles(values, n=10)[0]


for label, middle in (("median", statistics.median), ("best tenth", tenth)):
    base = None
    for name, measured in times.items():
        query = middle([query for connect, query in measured])
        whole = middle([connect + query for connect, query in measured])
        base = base or (query, whole)
        print(
            "%-10s %-20s query %6.0f us (%.2f x)   connect and query %6.0f us (%.2f x)"
            % (label, name, query, query / base[0], whole, whole / base[1])
        )
