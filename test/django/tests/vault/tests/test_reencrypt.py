"""manage.py trustpoint_reencrypt."""

import io

from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import models, transaction
from django.test import TransactionTestCase

from django_trustpoint.fields import EncryptedTextField

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

    def unmanaged(self, relation):
        class Listed(models.Model):
            code = EncryptedTextField(null=True, row="pk", context=("vault", "badge", "code"))

            class Meta:
                app_label, managed, db_table = "vault", False, relation

        def forget():
            del apps.all_models["vault"]["listed"]
            apps.clear_cache()

        self.addCleanup(forget)

    def test_views_are_left_out(self):
        self.unmanaged("vault_listed")
        ask("CREATE VIEW vault_listed AS SELECT id, code FROM vault_badge")
        self.addCleanup(ask, "DROP VIEW vault_listed")
        output, errors, error = run()
        self.assertIsNone(error, errors)
        self.assertIn("vault.Listed: no table, left out", output)
        self.assertEqual(keys_in("vault_badge", "code"), {self.new})
        output, errors, error = run("vault.Listed")
        self.assertIn("vault_listed is not a table", errors)
        self.assertIn("not done: vault.Listed.code", error)

    def test_what_comes_after_a_failure_is_done(self):
        self.unmanaged("vault_missing")
        output, errors, error = run("vault.Listed", "vault.Badge")
        self.assertIn('"vault_missing" does not exist', errors)
        self.assertIn("not done: vault.Listed.code", error)
        self.assertEqual(keys_in("vault_badge", "code"), {self.new})

    def test_wrong_names(self):
        self.assertIn("no encrypted fields", run("vault.Device.name")[2])
        self.assertIn("nothing", run("nothing")[2])
        self.assertIn("NoModel", run("vault.NoModel")[2])
        with transaction.atomic():
            self.assertIn("inside a transaction", run("vault.Device.secret")[2])
