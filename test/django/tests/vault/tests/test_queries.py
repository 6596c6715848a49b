"""Encrypted fields in queries behave as ordinary fields do."""

import io
import json
import tempfile

import django
from django.core import serializers
from django.core.exceptions import FieldError
from django.core.management import call_command
from django.db import DataError, transaction
from django.db.models import Case, Count, F, JSONField, Max, OuterRef, Prefetch, Subquery, TextField, Value, When
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce, Concat, Length, Replace, Upper

from django_trustpoint.expressions import Ciphertext, TpCiphertext, TpDecrypt, TpEncrypt

from ..models import Account, Badge, Card, Device, Employee, Site, Ticket
from .base import FieldTest, ask, stored


class ReadTest(FieldTest):
    @classmethod
    def setUpTestData(cls):
        cls.site = Site.objects.create(name="site", note="site note")
        for number in range(5):
            Device.objects.create(
                site=cls.site,
                name="device %d" % number,
                secret="secret %d" % number,
                pin=str(number),
                blob=b"blob %d" % number,
                config={"number": number, "deep": {"list": [number]}},
            )

    def test_values(self):
        rows = Device.objects.order_by("name").values("name", "secret", "pin", "config")
        self.assertEqual(
            rows[1],
            {"name": "device 1", "secret": "secret 1", "pin": "1", "config": {"number": 1, "deep": {"list": [1]}}},
        )
        self.assertEqual(
            list(Device.objects.order_by("name").values_list("secret", flat=True))[:2], ["secret 0", "secret 1"]
        )
        self.assertEqual(
            list(Device.objects.filter(name="device 2").values_list("config__deep__list", "site__note")),
            [([2], "site note")],
        )

    def test_deferred(self):
        device = Device.objects.defer("secret").get(name="device 3")
        self.assertIn("secret", device.get_deferred_fields())
        with self.assertNumQueries(1):
            self.assertEqual(device.secret, "secret 3")
        device = Device.objects.only("name").get(name="device 3")
        device.name = "renamed"
        before = stored(device, "secret")
        device.save()
        self.assertEqual(stored(device, "secret"), before)
        self.assertEqual(Device.objects.get(name="renamed").secret, "secret 3")

    def test_only_what_is_selected_is_decrypted(self):
        sql = str(Device.objects.only("name", "pin").query)
        self.assertEqual(sql.count("tp_decrypt"), 1)
        self.assertNotIn("tp_decrypt", str(Device.objects.values("name").query))

    def test_iterator(self):
        self.assertEqual(
            [d.secret for d in Device.objects.order_by("name").iterator(chunk_size=2)],
            ["secret %d" % n for n in range(5)],
        )

    def test_related_loads(self):
        with self.assertNumQueries(1):
            self.assertEqual(Device.objects.select_related("site").get(name="device 0").site.note, "site note")
        with self.assertNumQueries(2):
            (site,) = Site.objects.prefetch_related(Prefetch("devices", Device.objects.order_by("name")))
            self.assertEqual([d.secret for d in site.devices.all()], ["secret %d" % n for n in range(5)])

    def test_expressions_see_plaintext(self):
        row = Device.objects.annotate(
            upper=Upper("secret"),
            both=Concat("secret", Value("/"), "name", output_field=TextField()),
            size=Length(F("secret")),
        ).get(name="device 4")
        self.assertEqual((row.upper, row.both, row.size), ("SECRET 4", "secret 4/device 4", 8))

    def test_aggregates_and_groups(self):
        self.assertEqual(Device.objects.aggregate(Count("secret"), Max("pin")), {"secret__count": 5, "pin__max": "4"})
        self.assertEqual(Site.objects.annotate(n=Count("devices")).get().n, 5)
        self.assertEqual(
            Site.objects.annotate(n=Count("devices")).values("note", "n").get(), {"note": "site note", "n": 5}
        )
        self.assertEqual(Device.objects.distinct().count(), 5)

    def test_subqueries(self):
        query = Device.objects.filter(site=OuterRef("pk")).order_by("name").values("secret")[:1]
        self.assertEqual(Site.objects.annotate(first=Subquery(query)).get().first, "secret 0")
        self.assertEqual(Device.objects.filter(pk__in=Device.objects.filter(pin__isnull=False).values("pk")).count(), 5)

    def test_union_and_order(self):
        one, two = Device.objects.filter(name="device 1"), Device.objects.filter(name="device 2")
        self.assertEqual(
            set(one.values_list("secret").union(two.values_list("secret"))), {("secret 1",), ("secret 2",)}
        )
        self.assertEqual(Device.objects.order_by("-secret").first().secret, "secret 4")

    def test_raw_queries(self):
        field = Device._meta.get_field("secret")
        (device,) = Device.objects.raw(
            "SELECT id, %s AS secret FROM vault_device WHERE name = %%s" % field.decrypt_sql("secret"), ["device 1"]
        )
        self.assertEqual(device.secret, "secret 1")
        # With another context it would decrypt nothing.
        for wrong in (lambda: field.decrypt_sql("secret", "id"), lambda: Badge._meta.get_field("code").decrypt_sql("code")):
            self.assertRaisesMessage(TypeError, "bound to", wrong)
        (device,) = Device.objects.raw("SELECT id, name FROM vault_device WHERE name = 'device 1'")
        self.assertEqual(device.secret, "secret 1")
        with self.assertRaisesMessage(
            TypeError, "tp_decrypt(secret, E'5:vault6:device6:secret') AS secret"
        ):
            list(Device.objects.raw("SELECT id, secret FROM vault_device"))

    def test_explicit_expressions(self):
        self.assertEqual(
            Device.objects.annotate(plain=TpDecrypt("secret")).filter(plain__endswith="3").get().name, "device 3"
        )
        self.assertEqual(
            Device.objects.annotate(plain=TpDecrypt("config")).filter(plain__number=2).get().name, "device 2"
        )
        device = Device.objects.annotate(raw=TpCiphertext("secret")).first()
        self.assertEqual(bytes(device.raw), stored(device, "secret"))
        row = Device.objects.annotate(sealed=TpEncrypt("text", context=["a", F("name")])).first()
        self.assertEqual(ask("SELECT tp_decrypt(%s, tp_context('a', %s))", [bytes(row.sealed), row.name]), [("text",)])
        row = Site.objects.annotate(
            back=TpDecrypt(TpEncrypt(b"\x00\xff", context="abc"), context="abc", binary=True)
        ).get()
        self.assertEqual(bytes(row.back), b"\x00\xff")


class WriteTest(FieldTest):
    def test_bulk_create_and_bulk_update(self):
        devices = Device.objects.bulk_create([Device(name=str(n), secret="s%d" % n, config=[n]) for n in range(20)])
        self.assertEqual({d.secret for d in Device.objects.all()}, {"s%d" % n for n in range(20)})
        for device in devices:
            device.secret, device.pin, device.blob, device.config = (
                "new " + device.name,
                device.name,
                b"b" + device.name.encode(),
                {"n": device.name},
            )
        devices[3].config = None
        Device.objects.bulk_update(devices, ["secret", "pin", "blob", "config"])
        for device in Device.objects.all():
            self.assertEqual(
                (device.secret, device.pin, bytes(device.blob)),
                ("new " + device.name, device.name, b"b" + device.name.encode()),
            )
            self.assertEqual(device.config, None if device.name == "3" else {"n": device.name})
        Device.objects.bulk_create([Device(name="1", secret="other")], ignore_conflicts=True)
        self.assertEqual(Device.objects.get(name="1").secret, "new 1")

    if django.VERSION >= (4, 1):

        def test_bulk_create_that_updates(self):
            Device.objects.create(name="1", secret="old")
            Device.objects.bulk_create(
                [Device(name=str(n), secret="new %d" % n) for n in range(3)],
                update_conflicts=True,
                unique_fields=["name"],
                update_fields=["secret"],
            )
            self.assertEqual({d.name: d.secret for d in Device.objects.all()}, {str(n): "new %d" % n for n in range(3)})
            card = Card.objects.create(code="old")
            Card.objects.bulk_create(
                [Card(number=card.pk, code="new")],
                update_conflicts=True,
                unique_fields=["number"],
                update_fields=["code"],
            )
            self.assertEqual(Card.objects.get().code, "new")
            with self.assertRaisesMessage(FieldError, "name 'phone_index' too"), transaction.atomic():
                Account.objects.bulk_create(
                    [Account(pk=1, email="e", phone="p")],
                    update_conflicts=True,
                    unique_fields=["id"],
                    update_fields=["phone"],
                )
            with self.assertRaisesMessage(FieldError, "would be of another text"), transaction.atomic():
                Account.objects.bulk_create(
                    [Account(pk=1, email="e", phone="p")],
                    update_conflicts=True,
                    unique_fields=["id"],
                    update_fields=["phone_index"],
                )
            with self.assertRaisesMessage(FieldError, "must be one of unique_fields"), transaction.atomic():
                Badge.objects.bulk_create(
                    [Badge(owner="o", code="c")], update_conflicts=True, unique_fields=["owner"], update_fields=["code"]
                )
            with self.assertRaisesMessage(FieldError, "must be one of unique_fields"), transaction.atomic():
                Ticket.objects.bulk_create(
                    [Ticket(pk=1, number="2", holder="h")],
                    update_conflicts=True,
                    unique_fields=["id"],
                    update_fields=["number"],
                )

    def test_get_or_create_and_update_or_create(self):
        device, created = Device.objects.get_or_create(name="a", defaults={"secret": "one"})
        self.assertTrue(created)
        device, created = Device.objects.update_or_create(name="a", defaults={"secret": "two", "pin": "2"})
        self.assertFalse(created)
        device, created = Device.objects.update_or_create(name="a", defaults={"pin": "3"})
        device = Device.objects.get()
        self.assertEqual((device.secret, device.pin), ("two", "3"))

    def test_save_of_some_fields(self):
        device = Device.objects.create(name="a", secret="one", pin="1")
        device.secret, device.pin = "two", "2"
        device.save(update_fields=["pin"])
        device.refresh_from_db()
        self.assertEqual((device.secret, device.pin), ("one", "2"))

    def test_update(self):
        Device.objects.create(name="a", secret="one", pin="1", config={"a": 1})
        Device.objects.update(secret="two", pin=None, config={"a": 2}, blob=b"b")
        device = Device.objects.get()
        self.assertEqual((device.secret, device.pin, device.config, bytes(device.blob)), ("two", None, {"a": 2}, b"b"))

    def test_update_with_expressions(self):
        device = Device.objects.create(name="a", secret="one", pin="1")
        Device.objects.update(secret=F("pin"))
        self.assertEqual(Device.objects.get().secret, "1")
        Device.objects.update(secret=Concat("secret", Value("+"), "name", output_field=TextField()))
        self.assertEqual(Device.objects.get().secret, "1+a")
        Device.objects.update(secret=Concat("secret", Value("!")))
        Device.objects.update(secret=Coalesce("secret", "name"))
        Device.objects.update(secret=Replace("secret", Value("+"), Value("-")))
        self.assertEqual(Device.objects.get().secret, "1-a!")
        device.secret = Concat("secret", Value("?"))
        device.save()
        self.assertEqual(Device.objects.get().secret, "1-a!?")
        Device.objects.update(
            secret=Case(When(name="a", then=Value("case")), default=F("secret"), output_field=TextField())
        )
        self.assertEqual(Device.objects.get().secret, "case")
        Device.objects.update(secret=TpEncrypt("sealed", context=["vault", "device", "secret"]))
        self.assertEqual(Device.objects.get().secret, "sealed")
        self.assertEncrypted(device, "secret", "sealed")
        sealed = TpEncrypt("sealed too", context=["vault", "device", "secret"])
        self.assertEqual(Device.objects.get(pk=Device.objects.create(name="c", secret=sealed).pk).secret, "sealed too")
        Device.objects.filter(name="c").delete()
        device.secret = Upper(F("name"))
        device.save()
        self.assertEqual(Device.objects.get().secret, "A")
        self.assertEqual(
            Device.objects.create(name="b", secret=Upper(Value("new"))).pk,
            Device.objects.get(secret__isnull=False, name="b").pk,
        )
        self.assertEqual(Device.objects.get(name="b").secret, "NEW")
        Site.objects.create(name="plain").__class__.objects.update(
            name=Subquery(Device.objects.filter(name="b").values("secret"))
        )
        self.assertEqual(Site.objects.get().name, "NEW")

    def test_what_is_built_on_encrypted_columns_is_encrypted(self):
        """Django takes its type from the model's field, as if it were ciphertext."""
        one = Device.objects.create(name="one", secret="1", blob=bytes(stored(Site.objects.create(name="s"), "note")))
        two = Device.objects.create(name="two", secret="2", config={"a": [2]})
        badge = Badge.objects.create(owner="o", code="c")

        def of(device, field):
            return Subquery(Device.objects.filter(pk=device.pk).values(field)[:1])

        for value in (
            of(one, "secret"),
            Coalesce(of(one, "secret"), F("secret")),
            Device.objects.filter(pk=one.pk).values("secret"),
        ):
            Device.objects.filter(pk=two.pk).update(secret=value)
            self.assertEqual(Device.objects.get(pk=two.pk).secret, "1")
        Badge.objects.update(code=of(one, "secret"))
        self.assertEqual(Badge.objects.get().code, "1")
        one.secret = "one"
        one.save()
        two.secret = badge.code = of(one, "secret")
        two.save()
        badge.save()
        self.assertEqual((Device.objects.get(pk=two.pk).secret, Badge.objects.get().code), ("one", "one"))
        Device.objects.create(name="three", secret=of(one, "secret"))
        self.assertEqual(Device.objects.get(name="three").secret, "one")
        # A plaintext that looks like a value is encrypted as any other.
        Device.objects.filter(pk=two.pk).update(blob=of(one, "blob"))
        self.assertNotEqual(stored(two, "blob"), bytes(one.blob))
        self.assertEqual(bytes(Device.objects.get(pk=two.pk).blob), bytes(one.blob))
        Device.objects.filter(pk=one.pk).update(config=of(two, "config"))
        self.assertEqual(Device.objects.get(pk=one.pk).config, {"a": [2]})
        # What is ciphertext is stored as it is.
        for value in (
            TpCiphertext("secret"),
            Subquery(Device.objects.filter(pk=two.pk).values(x=TpCiphertext("secret"))),
        ):
            Device.objects.filter(pk=two.pk).update(secret=value)
            self.assertEqual(Device.objects.get(pk=two.pk).secret, "one")

    def test_mixtures_of_plaintext_and_ciphertext_are_refused(self):
        field = Device._meta.get_field("secret")
        device = Device.objects.create(name="a", secret="one")
        other = Device.objects.create(name="b", secret="two")
        device.secret = Upper(F("name"))
        for write in (
            lambda: Device.objects.bulk_update([device], ["secret"]),
            lambda: Device.objects.bulk_update([device, other], ["secret"]),
            lambda: Device.objects.update(
                secret=Case(When(name="a", then=Value("x", output_field=field)), default=F("secret"))
            ),
            lambda: Device.objects.update(blob=Coalesce(TpCiphertext("blob"), F("blob"))),
            lambda: Device.objects.update(secret=Upper(Value("x", output_field=field))),
            lambda: Device.objects.update(secret=Concat(TpCiphertext("secret"), Value("x"))),
            lambda: Device.objects.update(secret=RawSQL("'x'", [], output_field=field)),
            lambda: Device.objects.create(name="c", secret=RawSQL("'x'", [], output_field=field)),
        ):
            with self.assertRaisesMessage(FieldError, "encrypted already"), transaction.atomic():
                write()
        self.assertEqual(set(Device.objects.values_list("secret", flat=True)), {"one", "two"})
        sealed = When(name="a", then=Value("x", output_field=field))
        Device.objects.update(secret=Case(sealed, default=TpCiphertext("secret"), output_field=Ciphertext()))
        self.assertEqual(set(Device.objects.values_list("secret", flat=True)), {"x", "two"})
        Device.objects.update(secret=RawSQL("upper('y')", [], output_field=TextField()))
        self.assertEqual(set(Device.objects.values_list("secret", flat=True)), {"Y"})

    def test_expressions_for_json(self):
        device = Device.objects.create(name='{"a": 1}', secret="no JSON")
        for config, expected in (
            (F("name"), {"a": 1}),
            (Value({"b": 2}, output_field=JSONField()), {"b": 2}),
            (F("config__b"), 2),
            (Value("null"), None),
        ):
            Device.objects.update(config=config)
            self.assertEqual(Device.objects.get().config, expected)
        for write in (
            lambda: Device.objects.update(config=F("secret")),
            lambda: Device.objects.create(name="n", secret="s", config=Concat(Value("a"), Value("b"))),
        ):
            with self.assertRaisesMessage(DataError, "type json"), transaction.atomic():
                write()
        self.assertEqual(Device.objects.get(), device)

    def test_a_failed_statement_leaves_the_connection_usable(self):
        Device.objects.create(name="a", secret="one")
        self.assertEqual(Device.objects.filter(name="a").update(secret=F("name")), 1)
        self.assertEqual(Device.objects.get().secret, "a")


class FixtureTest(FieldTest):
    def test_dumpdata_and_loaddata(self):
        site = Site.objects.create(name="site", note="note ü")
        Device.objects.create(site=site, name="d", secret="secret", pin="1", blob=b"\x00\xff", config={"a": [1]})
        Badge.objects.create(owner="o", code="badge code")
        card = Card.objects.create(code="card code", limit={"a": 1})
        Employee.objects.create(name="e", salary="1000")
        output = io.StringIO()
        call_command("dumpdata", "vault", stdout=output)
        self.assertIn("badge code", output.getvalue())
        for model in (Device, Site, Badge, Card, Employee):
            model.objects.all().delete()
        with tempfile.NamedTemporaryFile("w", suffix=".json") as fixture:
            fixture.write(output.getvalue())
            fixture.flush()
            call_command("loaddata", fixture.name, verbosity=0)
        device = Device.objects.get()
        self.assertEqual(
            (device.secret, device.pin, bytes(device.blob), device.config, device.site.note),
            ("secret", "1", b"\x00\xff", {"a": [1]}, "note ü"),
        )
        self.assertEqual(Badge.objects.get().code, "badge code")
        self.assertEqual((Card.objects.get().code, Card.objects.get().limit), ("card code", {"a": 1}))
        self.assertEqual(Employee.objects.get().salary, "1000")
        self.assertEqual(Card.objects.get().pk, card.pk)

    def test_a_fixture_without_keys(self):
        data = json.dumps([{"model": "vault.badge", "fields": {"owner": "o", "code": "c"}}])
        for item in serializers.deserialize("json", data):
            item.save()
        self.assertEqual(Badge.objects.get().code, "c")
