"""Migrations forward and backward, and what they leave in the catalog."""

import io

from django.core.management import call_command
from django.db import connection, connections, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState
from django.db.models import F
from django.db.utils import InternalError
from django.test import TransactionTestCase

from django_trustpoint.blind_index import BlindIndexField
from django_trustpoint.fields import EncryptedCharField, EncryptedJSONField, EncryptedTextField
from django_trustpoint.operations import CreateDek, TrustpointExtension

from ..models import Device
from .base import ask


class Router:
    """Allows nothing, and remembers what it was asked."""

    hints = None

    def allow_migrate(self, db, app_label, **hints):
        Router.hints = hints
        return False


class MigrationTest(TransactionTestCase):
    def tearDown(self):
        call_command("migrate", verbosity=0)

    def test_backward_to_nothing_and_forward_again(self):
        call_command("migrate", "vault", "zero", verbosity=0)
        self.assertEqual(ask("SELECT count(*) FROM pg_extension WHERE extname = 'trustpoint'"), [(0,)])
        call_command("migrate", verbosity=0)
        Device.objects.create(name="n", secret="after")
        self.assertEqual(Device.objects.get().secret, "after")
        self.assertEqual(
            ask("SELECT attstorage FROM pg_attribute WHERE attrelid = 'vault_device'::regclass AND attname = 'secret'"),
            [("e",)],
        )

    def test_the_extension_is_not_dropped_under_encrypted_columns(self):
        Device.objects.create(name="n", secret="s")
        with self.assertRaises(InternalError), connection.schema_editor() as editor:
            TrustpointExtension().database_backwards("vault", editor, None, None)
        self.assertEqual(Device.objects.get().secret, "s")

    def test_twice_is_once(self):
        keys = ask("SELECT id FROM tp_dek ORDER BY id")
        with connection.schema_editor() as editor:
            for operation in (TrustpointExtension(), CreateDek("documents")):
                operation.database_forwards("vault", editor, None, None)
        self.assertEqual(ask("SELECT id FROM tp_dek ORDER BY id"), keys)

    def test_routers(self):
        with self.settings(DATABASE_ROUTERS=[Router()]), connection.schema_editor(collect_sql=True) as editor:
            TrustpointExtension(hints={"secrets": True}).database_forwards("vault", editor, None, None)
            TrustpointExtension(hints={"secrets": True}).database_backwards("vault", editor, None, None)
        self.assertEqual(editor.collected_sql, [])
        self.assertEqual(Router.hints, {"secrets": True})

    def test_sqlmigrate(self):
        output = io.StringIO()
        call_command("sqlmigrate", "vault", "0001", stdout=output)
        self.assertIn("CREATE EXTENSION IF NOT EXISTS trustpoint;", output.getvalue())
        self.assertIn("SELECT tp_setup();", output.getvalue())

    def test_a_clear_column_becomes_encrypted(self):
        """The way of the documentation: add, fill, drop."""
        first = ProjectState()
        first.add_model(
            migrations.state.ModelState(
                "vault", "Note", [("id", models.AutoField(primary_key=True)), ("text", models.TextField())]
            )
        )
        with connection.schema_editor() as editor:
            editor.create_model(first.apps.get_model("vault", "Note"))
        try:
            note = first.apps.get_model("vault", "Note")
            note.objects.create(text="clear")
            second = first.clone()
            steps = [
                migrations.AddField("note", "sealed", EncryptedTextField(null=True)),
                migrations.RunPython(
                    lambda apps, editor: apps.get_model("vault", "Note").objects.update(sealed=F("text"))
                ),
                migrations.AlterField("note", "sealed", EncryptedTextField()),
                migrations.RemoveField("note", "text"),
            ]
            state = first
            for step in steps:
                after = state.clone()
                step.state_forwards("vault", after)
                with connection.schema_editor() as editor:
                    step.database_forwards("vault", editor, state, after)
                state = after
            self.assertEqual(state.apps.get_model("vault", "Note").objects.get().sealed, "clear")
            self.assertEqual(
                ask(
                    "SELECT attnotnull FROM pg_attribute WHERE attrelid = 'vault_note'::regclass AND attname = 'sealed'"
                ),
                [(True,)],
            )
        finally:
            ask("DROP TABLE vault_note")

    def test_renamed_columns_keep_their_check(self):
        old = ProjectState()
        field = EncryptedTextField(context=["pinned"], null=True)
        old.add_model(
            migrations.state.ModelState("vault", "Note", [("id", models.AutoField(primary_key=True)), ("text", field)])
        )
        with connection.schema_editor() as editor:
            editor.create_model(old.apps.get_model("vault", "Note"))
        try:
            old.apps.get_model("vault", "Note").objects.create(text="kept")
            new = old.clone()
            step = migrations.RenameField("note", "text", "body")
            step.state_forwards("vault", new)
            with connection.schema_editor() as editor:
                step.database_forwards("vault", editor, old, new)
            self.assertEqual(new.apps.get_model("vault", "Note").objects.get().body, "kept")
            self.assertEqual(
                ask(
                    "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'vault_note'::regclass AND contype = 'c'"
                ),
                [("CHECK (tp_is_encrypted(body))",)],
            )
        finally:
            ask("DROP TABLE vault_note")


class DeconstructTest(TransactionTestCase):
    def test_fields_come_back_as_they_were(self):
        fields = [
            EncryptedTextField(),
            EncryptedTextField(context="one", row="pk", key="k", null=True, default="x"),
            EncryptedCharField(max_length=5, context=("a", "b")),
            EncryptedJSONField(default=dict),
            BlindIndexField("secret"),
            BlindIndexField("secret", unique=True, null=False, key="k", context=["c"]),
            BlindIndexField("secret", db_index=False),
            BlindIndexField("secret", unique=True, db_index=True),
        ]
        for field in fields:
            name, path, args, kwargs = field.deconstruct()
            again = type(field)(*args, **kwargs)
            self.assertEqual(again.deconstruct(), (name, path, args, kwargs))
            for attribute in (
                "context",
                "row",
                "key",
                "null",
                "unique",
                "db_index",
                "max_length",
                "source",
                "editable",
            ):
                self.assertEqual(getattr(again, attribute, None), getattr(field, attribute, None), attribute)

    def test_operations_come_back_as_they_were(self):
        for operation in (
            TrustpointExtension(),
            TrustpointExtension(setup=False, hints={"a": 1}),
            CreateDek("n", "index", hints={"b": 2}),
        ):
            name, args, kwargs = operation.deconstruct()
            self.assertEqual(type(operation)(*args, **kwargs).__dict__, operation.__dict__)

    def test_no_migration_is_missing(self):
        call_command("makemigrations", "--check", "--dry-run", verbosity=0)
        self.assertFalse(MigrationLoader(connections["default"]).detect_conflicts())
