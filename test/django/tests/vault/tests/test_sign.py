"""Signatures by keys of the token, in a query."""

from django.db.models import Value

from django_trustpoint.expressions import TpSign

from ..models import Site
from .base import FieldTest, ask


class SignTest(FieldTest):
    def test_a_signature_verifies(self):
        ask("SELECT tp_generate_ec_key('django-test')")
        Site.objects.create(name="one")
        Site.objects.create(name="two")
        for algorithm in (None, "ecdsa-sha384"):
            rows = Site.objects.annotate(signature=TpSign("django-test", Value(b"data"), algorithm))
            for site in rows:
                self.assertEqual(
                    ask(
                        "SELECT tp_verify('django-test', 'data', %s, %s)",
                        [bytes(site.signature), algorithm or "ecdsa-sha256"],
                    ),
                    [(True,)],
                )
        data = Site.objects.annotate(signature=TpSign("django-test", "name")).get(name="two")
        self.assertEqual(ask("SELECT tp_verify('django-test', 'two', %s)", [bytes(data.signature)]), [(True,)])
