"""What `manage.py migrate` refuses as a blind index would find nothing, and what it must not refuse."""

from django.core.exceptions import FieldDoesNotExist, FieldError
from django.db import migrations, models
from django.db.models import F

from django_trustpoint.blind_index import BlindIndexField
from django_trustpoint.fields import EncryptedBinaryField, EncryptedTextField

from .base import ask
from .plans import NAME, PlanCase, alter, fill, separate


class IndexPlanTest(PlanCase):
    def test_an_index_of_another_text_context_or_key(self):
        def index(source="secret", **options):
            return migrations.AlterField("Note", "token", BlindIndexField(source, **options))

        self.migrate([migrations.AddField("Note", "token", BlindIndexField("secret"))])
        self.model().objects.create(secret="s")
        for operation in (index(context="c"), index(key="other"), separate(index(context="c"))):
            self.refuse("update(token=F('secret'))", [operation])
        self.migrate([index(unique=True, context=NAME)])
        self.migrate([fill(token=None), index(context="c"), fill(token=F("secret"))])
        self.assertEqual(self.model().objects.get(token="s").secret, "s")
        with self.assertRaisesMessage(FieldError, "update(token=F('secret'))"):
            self.back("0005_step")
        other = migrations.AddField("Note", "other", EncryptedTextField(null=True))
        self.refuse("update(token=F('other'))", [other, index("other", context="c")])
        rename = migrations.RenameField("Note", "secret", "kept")
        self.migrate([alter(null=True, context=NAME), rename, index("kept", context="c")])
        self.assertEqual(self.model().objects.get(token="s").kept, "s")

    def test_an_index_whose_field_becomes_another(self):
        def add(**options):
            return migrations.AddField("Note", "secret2", EncryptedTextField(null=True, **options))

        remove = migrations.RemoveField("Note", "secret")
        pinned = migrations.AlterField(
            "Note", "secret2", EncryptedTextField(null=True, row="pk", context=("vault", "note", "secret2"))
        )
        rename = migrations.RenameField("Note", "secret2", "secret")
        self.migrate([migrations.AddField("Note", "token", BlindIndexField("secret"))])
        self.model().objects.create(secret="s")
        self.migrate([add(row="pk"), fill(secret2=F("secret"))])
        for steps in (
            [remove, pinned, rename],
            [remove, migrations.AlterField("Note", "token", BlindIndexField("secret2"))],
            [alter(null=True, context=NAME), migrations.RenameField("Note", "secret", "old"), pinned, rename],
        ):
            self.refuse("the text that 'secret' had", steps)
        self.migrate([fill(token=None), remove, pinned, rename, fill(token=F("secret"))])
        self.assertEqual(self.model().objects.get(token="s").secret, "s")
        with self.assertRaisesMessage(FieldError, "the text that 'secret' had"):
            self.back("0005_step")
        self.migrate([remove, migrations.RemoveField("Note", "token")])

    def test_an_index_that_another_field_would_take_over(self):
        self.migrate([migrations.AddField("Note", "token", BlindIndexField("secret"))])
        self.model().objects.create(secret="s")
        away = [alter(null=True, context=NAME), migrations.RenameField("Note", "secret", "old")]
        added = migrations.AddField("Note", "secret", EncryptedTextField(null=True))
        self.refuse("the text that 'secret' had", away + [added])
        index = migrations.AlterField("Note", "token", BlindIndexField("old"))
        other = migrations.AlterField("Note", "token", BlindIndexField("old", key="k"))
        self.refuse("of another text, context or key", away + [other])
        self.migrate(away + [index, added])
        self.assertEqual(self.model().objects.get(token="s").old, "s")
        self.back("0004_step")
        self.assertEqual(self.model().objects.get(token="s").secret, "s")

    def test_rows_that_are_written_before_the_index_has_its_field_again(self):
        def write(apps, editor):
            apps.get_model("vault", "Note").objects.get().save()

        self.migrate([alter(null=True, context=NAME), migrations.AddField("Note", "token", BlindIndexField("secret"))])
        self.model().objects.create(secret="s")
        rename = migrations.RenameField("Note", "secret", "old")
        with self.assertRaisesMessage(FieldDoesNotExist, "alters the index next"):
            self.migrate([rename, migrations.RunPython(write)])

    def test_a_check_that_changes_with_its_type(self):
        def become(field):
            return migrations.AlterField("Note", "token", field)

        index, binary, sealed = BlindIndexField("secret"), models.BinaryField(null=True), EncryptedBinaryField(null=True)
        self.migrate([migrations.AddField("Note", "token", binary)])
        for field, check in (
            (index, "octet_length(token) = 32"),
            (sealed, "tp_is_encrypted(token)"),
            (index, "octet_length(token) = 32"),
            (binary, None),
        ):
            self.migrate([become(field)])
            found = ask(
                "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
                " WHERE conrelid = 'vault_note'::regclass AND contype = 'c' AND conname ~ 'token'"
            )
            self.assertEqual(len(found), 1 if check else 0)
            self.assertIn(check or "", str(found))
