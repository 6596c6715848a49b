"""What `manage.py migrate` refuses as it would lose values, and what it must not refuse."""

from django.core.exceptions import FieldError
from django.db import IntegrityError, migrations, models
from django.db.models import F

from django_trustpoint.blind_index import BlindIndexField
from django_trustpoint.fields import EncryptedBinaryField, EncryptedJSONField, EncryptedTextField

from .base import ask
from .plans import NAME, PlanCase, alter, fill, notes, separate


class RenameCase(migrations.RenameModel):
    """Django's own loses a model whose name changes in case alone (3.2 to 5.2)."""

    def state_forwards(self, app_label, state):
        state.models[app_label, self.old_name_lower].name = self.new_name
        state.reload_model(app_label, self.new_name_lower, delay=True)


class PlanTest(PlanCase):
    # ---- contexts

    def test_a_rename_that_changes_a_context(self):
        self.model().objects.create(secret="s")
        for rename in (migrations.RenameModel("Note", "Memo"), migrations.RenameField("Note", "secret", "token")):
            self.refuse("context=%r" % (NAME,), [rename])
        self.assertValue("s")
        self.migrate([migrations.RenameField("Note", "slug", "label")])
        self.assertValue("s")

    def test_a_rename_after_its_context_in_one_plan(self):
        self.model().objects.create(secret="s")
        self.migrate([alter(null=True, context=NAME)], [migrations.RenameField("Note", "secret", "token")])
        self.assertValue("s", "token")
        self.back()
        self.assertValue("s")

    def test_a_rename_after_its_rows_in_one_plan(self):
        self.model().objects.create(slug="clear")
        steps = [
            migrations.AddField("Note", "sealed", EncryptedTextField(null=True)),
            fill(sealed=F("slug")),
            migrations.AlterField("Note", "sealed", EncryptedTextField()),
            migrations.RemoveField("Note", "slug"),
        ]
        rename = migrations.RenameField("Note", "sealed", "slug")
        self.refuse("context=('vault', 'note', 'sealed')", steps + [rename])
        self.assertValue("clear", "slug")
        context = migrations.AlterField("Note", "sealed", EncryptedTextField(context=("vault", "note", "sealed")))
        self.migrate(steps + [context, rename])
        self.assertValue("clear", "slug")

    def test_a_rename_and_its_way_back(self):
        self.migrate([migrations.RenameField("Note", "secret", "token")])
        self.model().objects.create(token="s")
        with self.assertRaisesMessage(FieldError, "context=('vault', 'note', 'token')"):
            self.back()
        self.assertValue("s", "token")
        context = EncryptedTextField(null=True, context=("vault", "note", "token"))
        self.migrate([migrations.AlterField("Note", "token", context), migrations.RenameModel("Note", "Memo")])
        self.assertValue("s", "token", "Memo")
        self.back("0004_step")
        self.assertValue("s", "token")

    def test_a_name_that_changes_in_case(self):
        self.model().objects.create(secret="s")
        self.migrate([RenameCase("Note", "NOTE")])
        self.assertValue("s")

    def test_what_is_faked_is_not_judged(self):
        self.model().objects.create(secret="s")
        self.migrate([migrations.RenameField("Note", "secret", "token")], fake=True)

    def test_renames_of_the_state_or_the_database_alone(self):
        self.model().objects.create(secret="s")
        rename = migrations.RenameModel("Note", "Memo")
        table = migrations.RunSQL("ALTER TABLE vault_note RENAME TO vault_memo")
        added = migrations.AddField("Note", "token", EncryptedTextField(null=True))
        column = migrations.RenameField("Note", "secret", "token")
        for operation in (
            separate(rename, database=[table]),
            separate(separate(rename), database=[table]),
            separate(migrations.RemoveField("Note", "secret"), added, database=[column]),
            separate(alter(null=True, row="pk")),
            migrations.RunSQL("ALTER TABLE vault_note RENAME TO vault_memo", state_operations=[rename]),
        ):
            self.refuse("context=%r" % (NAME,), [operation])
        self.assertValue("s")

    def test_values_that_are_encrypted_anew_beside_the_state(self):
        self.model().objects.create(secret="s")
        sql = "UPDATE vault_note SET secret = tp_encrypt(tp_decrypt(secret, tp_context(%s)), tp_context(%s, id::text))"
        name = "'vault', 'note', 'secret'"
        self.migrate([separate(alter(null=True, row="pk"), database=[migrations.RunSQL(sql % (name, name))])])
        self.assertValue("s")
        again = sql % (name + ", id::text", "'c'")
        self.migrate([migrations.RunSQL(again, state_operations=[alter(null=True, row="pk", context="c")])])
        self.assertValue("s")

    def test_a_model_that_moves_from_another_app(self):
        self.model().objects.create(secret="s")
        self.refuse("context=", [separate(notes(EncryptedTextField(), "Memo", db_table="vault_note"))])
        self.migrate([separate(notes(EncryptedTextField(context=NAME), "Memo", db_table="vault_note"))])
        self.assertValue("s", model="Memo")

    def test_a_context_that_changes(self):
        self.model().objects.create(secret="s")
        for field in (alter(null=True, context="c"), alter(null=True, row="pk"), alter(null=True, row="slug")):
            self.refuse("context=%r, row=None" % (NAME,), [field])
        self.model().objects.update(secret=None)
        self.migrate([alter(null=True, row="pk")])
        self.model().objects.update(secret="bound")
        with self.assertRaisesMessage(FieldError, "row='pk'"):
            self.back()
        self.migrate([alter(null=True, row="id", context=NAME)])
        self.assertValue("bound")

    def test_a_row_field_that_is_renamed(self):
        self.migrate([alter(null=True, row="slug")])
        self.model().objects.create(secret="s")
        self.migrate([migrations.RenameField("Note", "slug", "label"), alter(null=True, row="label")])
        self.assertValue("s")
        self.back("0004_step")
        self.assertValue("s")

    def test_a_clear_type(self):
        self.model().objects.create(secret="s")
        for field in (models.TextField(null=True), models.BinaryField(null=True)):
            self.refuse("ciphertext", [migrations.AlterField("Note", "secret", field)])
        self.assertValue("s")
        self.migrate([fill(secret=None), migrations.AlterField("Note", "secret", models.TextField(null=True))])
        self.assertValue(None)

    def test_a_type_that_may_not_read_the_values(self):
        def become(kind):
            return migrations.AlterField("Note", "secret", kind(null=True))

        self.model().objects.create(secret="no JSON")
        self.refuse("what EncryptedJSONField reads", [become(EncryptedJSONField)])
        self.migrate([become(EncryptedBinaryField)])
        self.assertEqual(bytes(self.model().objects.get().secret), b"no JSON")
        for kind in (EncryptedTextField, EncryptedJSONField):
            self.refuse("what %s reads" % kind.__name__, [become(kind)])
        self.migrate([fill(secret=None), become(EncryptedJSONField)])
        self.model().objects.update(secret={"a": 1})
        self.migrate([become(EncryptedTextField)])
        self.assertValue('{"a": 1}')

    def test_a_clear_column_is_not_encrypted_by_its_type(self):
        self.migrate([migrations.AddField("Note", "photo", models.BinaryField(null=True))])
        encrypted = migrations.AlterField("Note", "photo", EncryptedBinaryField(null=True))
        note = self.model().objects.create(photo=b"clear")
        with self.assertRaises(IntegrityError):
            self.migrate([encrypted])
        note.delete()
        self.migrate()
        with self.assertRaises(IntegrityError):
            ask("INSERT INTO vault_note (slug, photo) VALUES ('s', 'clear')")

    # ---- defaults

    def test_a_field_for_rows_that_are_there(self):
        self.migrate([migrations.AddField("Note", "path", EncryptedTextField(default="C:\\new"))])
        self.model().objects.create()
        self.assertValue("C:\\new", "path")
        nullable = EncryptedJSONField(default=dict, null=True)
        for field in (EncryptedTextField(), EncryptedTextField(default="x"), nullable, BlindIndexField("path", null=False)):
            self.refuse("null=True", [migrations.AddField("Note", "more", field)])
        self.migrate([migrations.AddField("Note", "more", EncryptedTextField(null=True))])

    def test_null_becomes_not_null(self):
        self.model().objects.create()
        step = alter(default="C:\\new")
        self.refuse("NULL in some rows", [step])
        self.migrate([fill(secret="x"), step])
        self.assertValue("x")
        self.model().objects.all().delete()
        self.model().objects.create()
        self.assertValue("C:\\new")
