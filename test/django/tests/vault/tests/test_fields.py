"""Each encrypted field stores ciphertext and gives back what it was given."""

import enum

from django.db import DataError, connection, models, transaction
from django.db.utils import IntegrityError
from django.test.utils import isolate_apps

from django_trustpoint.blind_index import BlindIndexField
from django_trustpoint.fields import EncryptedTextField
from django_trustpoint.sql import context_sql

from ..models import Account, Device, Document, Site, Ticket
from .base import FieldTest, ask, stored

TEXTS = [
    "",
    "a",
    "fifteen bytes..",
    "sixteen bytes...",
    "seventeen bytes..",
    "Grüße, 世界 🔑",
    'it\'s \\ "100%" %s',
    "x" * 10_000,
]


class Color(str, enum.Enum):
    RED = "red"
    BLUE = "blue"


class StoredTest(FieldTest):
    def test_text(self):
        for text in TEXTS:
            with self.subTest(text=text[:20]):
                site = Site.objects.create(name=repr(text)[:50], note=text)
                self.assertEqual(Site.objects.get(pk=site.pk).note, text)
                self.assertEncrypted(site, "note", text if len(text) > 3 else "no such text")

    def test_binary(self):
        for index, value in enumerate([b"", b"\0", bytes(range(256)), b"\xe1" * 60]):
            device = Device.objects.create(name=str(index), secret="s", blob=value)
            self.assertEqual(bytes(Device.objects.get(pk=device.pk).blob), value)
            self.assertNotEqual(stored(device, "blob"), value)

    def test_json(self):
        for index, value in enumerate([{}, [], {"a": [1, 2.5, None, True, "ü'%s\\u0041"]}, "text", 0, False]):
            device = Device.objects.create(name=str(index), secret="s", config=value)
            self.assertEqual(Device.objects.get(pk=device.pk).config, value)

    def test_json_that_jsonb_refuses_is_refused_when_it_is_written(self):
        for value, error in (({"a": float("nan")}, ValueError), ({"a": "zero \0 byte"}, DataError)):
            with self.assertRaises(error), transaction.atomic():
                Device.objects.create(name="n", secret="s", config=value)
        device = Device.objects.create(name="n", secret="s", config={"a": "\\u0000 spelled out"})
        self.assertEqual(Device.objects.get(pk=device.pk).config, {"a": "\\u0000 spelled out"})

    def test_char_is_not_longer_than_its_column(self):
        device = Device.objects.create(name="n", secret="s", pin="12345678")
        self.assertEqual(Device.objects.get(pk=device.pk).pin, "12345678")
        with self.assertRaises(DataError):
            Device.objects.create(name="m", secret="s", pin="123456789")

    def test_null_stays_null(self):
        device = Device.objects.create(name="n", secret="s")
        self.assertEqual([stored(device, name) for name in ("pin", "blob", "config")], [None] * 3)
        device.refresh_from_db()
        self.assertEqual([device.pin, device.blob, device.config], [None] * 3)
        with self.assertRaises(IntegrityError), transaction.atomic():
            Device.objects.create(name="m", secret=None)

    def test_equal_texts_are_stored_differently(self):
        one = Site.objects.create(name="1", note="same")
        two = Site.objects.create(name="2", note="same")
        self.assertNotEqual(stored(one, "note"), stored(two, "note"))

    def test_bytes_are_no_text(self):
        with self.assertRaises(TypeError):
            Site.objects.create(name="n", note=b"bytes")

    def test_an_enum_of_str_is_its_text(self):
        Device.objects.create(name="n", secret=Color.RED, pin=Color.RED, config=[Color.RED])
        self.assertEqual(Device.objects.values_list("secret", "pin", "config").get(), ("red", "red", ["red"]))
        self.assertEqual(context_sql((Color.RED,)), context_sql(("red",)))
        Account.objects.get_or_create(email_index=Color.RED, defaults={"email": Color.RED})
        self.assertEqual(Account.objects.get(email_index="red"), Account.objects.get(email_index=Color.RED))
        Ticket.objects.create(number=Color.RED, holder=Color.RED)
        self.assertEqual(Ticket.objects.get(number="red").holder, "red")
        Ticket.objects.update(number=Color.BLUE, holder=Color.RED, holder_index=Color.RED, seats=None)
        self.assertEqual(Ticket.objects.get(number="blue", holder_index="red").holder, "red")

    @isolate_apps("vault")
    def test_deferred_where_a_model_overrides_the_field(self):
        class Plain(models.Model):
            mail = models.TextField()

            class Meta:
                app_label = "vault"
                abstract = True

        class Sealed(Plain):
            mail = EncryptedTextField()
            mail_index = BlindIndexField("mail")

            class Meta:
                app_label = "vault"
                abstract = True

        class Encrypted(Sealed):
            class Meta:
                app_label = "vault"

        class Clear(Sealed):
            mail = models.TextField()
            mail_index = None

            class Meta:
                app_label = "vault"

        for model in (Encrypted, Clear):
            with connection.schema_editor() as editor:
                editor.create_model(model)
            model.objects.create(mail="a")
            instance = model.objects.only("pk").get()
            self.assertEqual(instance.mail, "a")
            instance.save()
        self.assertEqual(Encrypted.objects.get(mail_index="a").mail, "a")

    def test_a_key_of_its_own(self):
        document = Document.objects.create(body="text")
        self.assertEqual(Document.objects.get().body, "text")
        (name,) = ask(
            "SELECT d.name FROM tp_dek d, vault_document v WHERE d.id = (tp_inspect(v.body)).key_id AND v.id = %s",
            [document.pk],
        )[0]
        self.assertEqual(name, "documents")


class ColumnTest(FieldTest):
    def test_type_storage_and_check(self):
        rows = ask(
            "SELECT attname, format_type(atttypid, atttypmod), attstorage FROM pg_attribute"
            " WHERE attrelid = 'vault_device'::regclass AND attname IN ('secret', 'pin', 'blob', 'config')"
        )
        self.assertEqual(len(rows), 4)
        for name, kind, storage in rows:
            self.assertEqual((kind, storage), ("bytea", "e"), name)
        checks = {
            row[0]
            for row in ask(
                "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'vault_device'::regclass AND contype = 'c'"
            )
        }
        self.assertEqual(checks, {"CHECK (tp_is_encrypted(%s))" % name for name in ("secret", "pin", "blob", "config")})

    def test_plaintext_does_not_pass_the_check(self):
        device = Device.objects.create(name="n", secret="s")
        with self.assertRaises(IntegrityError), connection.cursor() as cursor:
            cursor.execute("UPDATE vault_device SET secret = 'plain' WHERE id = %s", [device.pk])


class ContextTest(FieldTest):
    def test_a_value_in_another_column_does_not_decrypt(self):
        device = Device.objects.create(name="n", secret="s", pin="p")
        ask("UPDATE vault_device SET secret = pin")
        with self.assertRaisesMessage(DataError, "authentic"):
            device.refresh_from_db()

    def test_a_constant_context_is_that_of_tp_context(self):
        for parts in [("vault", "site", "note"), ("",), ("é", "€uro", "😀"), ("x'y", "10:", "back\\slash", "100 %")]:
            with self.subTest(parts=parts):
                made = ask("SELECT tp_context(VARIADIC %s)", [list(parts)])
                self.assertEqual(ask("SELECT %s" % context_sql(parts)), made)

    def test_raw_sql_with_the_documented_context(self):
        device = Device.objects.create(name="n", secret="from Django")
        self.assertEqual(
            ask("SELECT tp_decrypt(secret, tp_context('vault', 'device', 'secret')) FROM vault_device"),
            [("from Django",)],
        )
        ask("UPDATE vault_device SET secret = tp_encrypt('from SQL', tp_context('vault', 'device', 'secret'))")
        device.refresh_from_db()
        self.assertEqual(device.secret, "from SQL")
