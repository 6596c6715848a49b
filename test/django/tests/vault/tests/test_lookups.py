"""Lookups that cannot use stored values are refused, and say what to do."""

from django.core.exceptions import FieldError
from django.db.models import F, Q

from ..models import Device, Site
from .base import FieldTest


class LookupTest(FieldTest):
    def test_refused(self):
        for lookup in (
            "exact",
            "iexact",
            "contains",
            "icontains",
            "startswith",
            "in",
            "gt",
            "range",
            "regex",
            "search",
        ):
            for field in ("secret", "pin", "blob", "config"):
                with self.subTest(field=field, lookup=lookup), self.assertRaises(FieldError) as caught:
                    Device.objects.filter(
                        **{"%s__%s" % (field, lookup): ["x", "y"] if lookup in ("in", "range") else "x"}
                    ).count()
                self.assertIn("encrypted", str(caught.exception))

    def test_refused_everywhere(self):
        for query in (
            lambda: Device.objects.get(secret="x"),
            lambda: Device.objects.exclude(secret="x"),
            lambda: Device.objects.filter(Q(name="a") | Q(secret="x")),
            lambda: Device.objects.filter(secret=F("name")),
            lambda: Device.objects.filter(config__a=1),
            lambda: Device.objects.filter(config__a__b__contains=1),
            lambda: Site.objects.filter(devices__secret="x"),
            lambda: Device.objects.filter(secret__upper="x"),
        ):
            with self.assertRaisesMessage(FieldError, "encrypted"):
                query()

    def test_null_needs_no_key(self):
        Device.objects.create(name="a", secret="s", pin="1")
        Device.objects.create(name="b", secret="s")
        self.assertEqual(Device.objects.get(pin=None).name, "b")
        self.assertEqual(Device.objects.get(pin__isnull=False).name, "a")
        self.assertEqual(Device.objects.exclude(pin=None).get().name, "a")
        self.assertNotIn("tp_decrypt", str(Device.objects.filter(pin=None).values("name").query))
