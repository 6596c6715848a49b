"""What the tests of migrations share: steps that a test writes, as migrations of the app after its own."""

import importlib
import os
import shutil
import sys
import tempfile

from django.core.exceptions import FieldError
from django.core.management import call_command
from django.db import connection, migrations, models
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.test import TransactionTestCase

from django_trustpoint.fields import EncryptedTextField

from .base import ask

# The operations of the migrations that a test writes.
OPERATIONS = {}

SOURCE = """
from django.db import migrations
from vault.tests.plans import OPERATIONS

class Migration(migrations.Migration):
    dependencies = [("vault", "%s")]
    operations = OPERATIONS["%s"]
"""

NAME = ("vault", "note", "secret")


def notes(field, name="Note", **options):
    fields = [("id", models.AutoField(primary_key=True)), ("slug", models.TextField(default="s")), ("secret", field)]
    return migrations.CreateModel(name, fields, options)


def alter(**options):
    return migrations.AlterField("Note", "secret", EncryptedTextField(**options))


def fill(**values):
    def forwards(apps, editor):
        apps.get_model("vault", "Note").objects.update(**values)

    return migrations.RunPython(forwards, migrations.RunPython.noop)


def separate(*state_operations, database=()):
    return migrations.SeparateDatabaseAndState(database, state_operations)


class PlanCase(TransactionTestCase):
    def setUp(self):
        """The app's migrations in a package of the test's own, and after them one that makes notes with a secret."""
        root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, root)
        sys.path.append(root)
        self.addCleanup(sys.path.remove, root)
        self.package = "steps_" + os.path.basename(root)
        self.folder = os.path.join(root, self.package)
        shutil.copytree(os.path.dirname(importlib.import_module("vault.migrations").__file__), self.folder)
        settings = self.settings(MIGRATION_MODULES={"vault": self.package})
        settings.enable()
        self.addCleanup(settings.disable)
        OPERATIONS.clear()
        self.migrate([notes(EncryptedTextField(null=True))])

    def tearDown(self):
        ask("DROP TABLE IF EXISTS vault_note, vault_memo")
        ask("DELETE FROM django_migrations WHERE app = 'vault' AND name ~ '_step$'")

    def file(self, name):
        return os.path.join(self.folder, name + ".py")

    def migrate(self, *steps, **options):
        """Each list of operations becomes a migration; one call applies them all."""
        for operations in steps:
            last = max(OPERATIONS, default="0002_models")
            name = "%04d_step" % (int(last[:4]) + 1)
            OPERATIONS[name] = operations
            with open(self.file(name), "w") as file:
                file.write(SOURCE % (last, name))
        importlib.invalidate_caches()
        call_command("migrate", "vault", verbosity=0, **options)

    def refuse(self, message, *steps):
        with self.assertRaisesMessage(FieldError, message):
            self.migrate(*steps)
        applied = {name for _, name in MigrationRecorder(connection).applied_migrations()}
        for name in set(OPERATIONS) - applied:
            os.remove(self.file(name))
            del OPERATIONS[name], sys.modules[self.package + "." + name]

    def back(self, to="0003_step"):
        call_command("migrate", "vault", to, verbosity=0)

    def model(self, name="Note"):
        state = MigrationExecutor(connection)._create_project_state(with_applied_migrations=True)
        return state.apps.get_model("vault", name)

    def assertValue(self, value, field="secret", model="Note"):
        self.assertEqual(self.model(model).objects.values_list(field, flat=True).get(), value)
