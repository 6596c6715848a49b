"""manage.py trustpoint_reencrypt."""

import io

from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import TransactionTestCase

from ..models import Badge, Card, Device, Document
from .base import ask


def run(*arguments, **options):
    output, errors = io.StringIO(), io.StringIO()
    try:
        call_command("trustpoint_reencrypt", *arguments, stdout=output, stderr=errors, **options)
    except CommandError as error:
        return output.getvalue(), errors.getvalue(), str(error)
    return output.getvalue(), errors.getvalue(), None


def keys_in(table, column):
    return {
        row[0]
        for row in ask('SELECT (tp_inspect("%s")).key_id FROM "%s" WHERE "%s" IS NOT NULL' % (column, table, column))
    }


class ReencryptTest(TransactionTestCase):
    def setUp(self):
        Device.objects.bulk_create([Device(name=str(n), secret="s%d" % n, config=[n]) for n in range(50)])
        Badge.objects.bulk_create([Badge(owner=str(n), code="c%d" % n) for n in range(50)])
        Card.objects.create(code="one")
        Document.objects.create(body="b")
        ((self.new,),) = ask("SELECT tp_rotate_dek()")

    def test_all_columns(self):
        output, errors, error = run(batch_size=7)
        self.assertIsNone(error, errors)
        self.assertIn("vault.Badge.code [%s] 100 %%  50 of 50 values" % ("#" * 30), output)
        for table, column in (
            ("vault_device", "secret"),
            ("vault_device", "config"),
            ("vault_badge", "code"),
            ("vault_card", "code"),
        ):
            self.assertEqual(keys_in(table, column), {self.new})
        self.assertEqual({d.secret for d in Device.objects.all()}, {"s%d" % n for n in range(50)})
        self.assertEqual({b.code for b in Badge.objects.all()}, {"c%d" % n for n in range(50)})
        self.assertEqual(Card.objects.get().code, "one")
        self.assertEqual(Document.objects.get().body, "b")

    def test_one_column(self):
        run("vault.Device.secret")
        self.assertEqual(keys_in("vault_device", "secret"), {self.new})
        self.assertNotIn(self.new, keys_in("vault_device", "config"))

    def test_what_cannot_be_decrypted_is_named_and_left(self):
        ask("UPDATE vault_badge SET code = (SELECT code FROM vault_badge WHERE owner = '1') WHERE owner = '2'")
        output, errors, error = run("vault.badge")
        self.assertIn("1 values could not be decrypted", error)
        self.assertIn("ctid", errors)
        self.assertEqual(len(keys_in("vault_badge", "code")), 2)

    def test_wrong_names(self):
        self.assertIn("no encrypted fields", run("vault.Device.name")[2])
        self.assertIn("nothing", run("nothing")[2])
        self.assertIn("NoModel", run("vault.NoModel")[2])
        with transaction.atomic():
            self.assertIn("inside a transaction", run("vault.Device.secret")[2])
