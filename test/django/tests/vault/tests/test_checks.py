"""What manage.py check says."""

import uuid
from unittest import mock

import django
from django.contrib.postgres.fields import ArrayField
from django.core.checks import run_checks
from django.core.exceptions import FieldError
from django.db import connection, models
from django.db.models.functions import Lower
from django.test import TestCase
from django.test.utils import isolate_apps

from django_trustpoint import checks
from django_trustpoint.blind_index import BlindIndexField
from django_trustpoint.fields import EncryptedCharField, EncryptedTextField

from .base import ask

CHECK = "condition" if django.VERSION >= (5, 1) else "check"


class FieldCheckTest(TestCase):
    @isolate_apps("vault")
    def test_errors(self):
        class Wrong(models.Model):
            when = models.DateTimeField()
            maybe = models.IntegerField(null=True)
            unique = EncryptedTextField(unique=True)
            indexed = EncryptedTextField(db_index=True)
            collated = EncryptedCharField(max_length=5, db_collation="C")
            nowhere = EncryptedTextField(row="missing")
            itself = EncryptedTextField(row="itself")
            by_time = EncryptedTextField(row="when")
            by_null = EncryptedTextField(row="maybe")
            by_secret = EncryptedTextField(row="unique")
            index = BlindIndexField("when")

            class Meta:
                app_label = "vault"

        found = {(error.obj.name, error.id) for error in Wrong.check() if error.id.startswith("trustpoint")}
        self.assertEqual(
            found,
            {
                ("unique", "trustpoint.E001"),
                ("indexed", "trustpoint.E001"),
                ("collated", "trustpoint.E002"),
                ("nowhere", "trustpoint.E004"),
                ("itself", "trustpoint.E004"),
                ("by_time", "trustpoint.E005"),
                ("by_null", "trustpoint.E005"),
                ("by_secret", "trustpoint.E005"),
                ("index", "trustpoint.E006"),
            },
        )

    @isolate_apps("vault")
    def test_constraints_that_would_compare_ciphertext(self):
        class Wrong(models.Model):
            day = models.DateField()
            together = EncryptedTextField()
            constrained = EncryptedTextField()
            indexed = EncryptedTextField()
            of_a_day = EncryptedTextField(unique_for_date="day")
            of_a_year = EncryptedTextField(unique_for_year="day")
            may_be_null = EncryptedTextField(null=True)
            by_index = EncryptedTextField()
            index = BlindIndexField("by_index")

            class Meta:
                app_label = "vault"
                unique_together = [("day", "together"), ("day", "index")]
                constraints = [
                    models.UniqueConstraint(fields=["day", "constrained"], name="constrained"),
                    models.UniqueConstraint(fields=["day", "index"], name="index"),
                    models.CheckConstraint(**{CHECK: models.Q(may_be_null__isnull=False)}, name="not_null"),
                ]
                indexes = [models.Index(fields=["day", "-indexed"], name="indexed")]

        expected = {"together", "constrained", "indexed", "of_a_day", "of_a_year"}
        found = {(error.obj.name, error.id) for error in Wrong.check() if error.id.startswith("trustpoint")}
        self.assertEqual(found, {(name, "trustpoint.E001") for name in expected})

    @isolate_apps("vault")
    def test_indexes_of_expressions(self):
        class Wrong(models.Model):
            secret = EncryptedTextField()

            class Meta:
                app_label = "vault"
                indexes = [models.Index(Lower("secret").desc(), name="lower")]

        self.assertIn("trustpoint.E001", {error.id for error in Wrong.check()})

    if django.VERSION >= (5, 0):

        @isolate_apps("vault")
        def test_a_row_that_the_server_fills_in(self):
            class Wrong(models.Model):
                number = models.IntegerField(db_default=1)
                secret = EncryptedTextField(row="number")

                class Meta:
                    app_label = "vault"

            self.assertIn("trustpoint.E005", {error.id for error in Wrong.check()})

    @isolate_apps("vault")
    def test_part_of_another_field(self):
        class Wrong(models.Model):
            words = ArrayField(ArrayField(EncryptedTextField(row="pk")))

            class Meta:
                app_label = "vault"

        self.assertIn("trustpoint.E007", str(Wrong.check()))
        with self.assertRaisesMessage(FieldError, "would store plaintext"):
            Wrong.objects.create(words=[["topsecret"]])

    @isolate_apps("vault")
    def test_no_errors(self):
        class Right(models.Model):
            number = models.UUIDField(default=uuid.uuid4)
            secret = EncryptedTextField(row="number")
            other = EncryptedCharField(max_length=5, row="pk")
            index = BlindIndexField("secret", unique=True)

            class Meta:
                app_label = "vault"

        class Child(Right):
            more = EncryptedTextField(row="pk")

            class Meta:
                app_label = "vault"

        class Grandchild(Child):
            most = EncryptedTextField(row="pk")

            class Meta:
                app_label = "vault"

        for model in (Right, Child, Grandchild):
            self.assertEqual([error for error in model.check() if error.id.startswith("trustpoint")], [])


class ServerCheckTest(TestCase):
    def ids(self):
        return {warning.id for warning in run_checks(databases=["default"]) if warning.id.startswith("trustpoint")}

    def test_as_it_is(self):
        expected = set() if checks.binds_on_server(connection) else {"trustpoint.W004"}
        self.assertEqual(self.ids(), expected)

    def test_statement_logging(self):
        for setting, value in (
            ("log_statement", "all"),
            ("log_statement", "mod"),
            ("log_min_duration_statement", "100"),
        ):
            ask("SELECT set_config(%s, %s, true)", [setting, value])
            self.assertIn("trustpoint.W003", self.ids())
            ask("SELECT set_config(%s, %s, true)", [setting, "none" if setting == "log_statement" else "-1"])
        ask("SELECT set_config('log_statement', 'ddl', true)")
        self.assertNotIn("trustpoint.W003", self.ids())

    def test_parameters_bound_by_the_server(self):
        with mock.patch.object(checks, "binds_on_server", return_value=True):
            self.assertEqual(self.ids(), set())
            ask("SELECT set_config('log_statement', 'all', true)")
            self.assertEqual(self.ids(), {"trustpoint.W003"})
            ask(
                "SELECT set_config('log_parameter_max_length', '0', true), set_config('log_parameter_max_length_on_error', '-1', true)"
            )
            self.assertEqual(self.ids(), {"trustpoint.W005"})

    def test_no_extension(self):
        with connection.cursor() as cursor:
            cursor.execute("DROP EXTENSION trustpoint CASCADE")
        self.assertIn("trustpoint.W002", self.ids())
