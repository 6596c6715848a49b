"""What `manage.py migrate` refuses as values are bound to a field that would change, and what it must not refuse."""

import uuid

from django.core.exceptions import FieldError
from django.db import migrations, models

from django_trustpoint.fields import EncryptedTextField

from .plans import PlanCase, alter, separate

BOUND = "bound to the text that '%s' has now"


def slug(field):
    return migrations.AlterField("Note", "slug", field)


class RowPlanTest(PlanCase):
    def test_a_type_in_which_the_row_has_another_text(self):
        self.migrate([alter(null=True, row="slug")])
        self.model().objects.create(slug="007", secret="s")
        for field in (models.IntegerField(), models.CharField(max_length=2)):
            for operation in (slug(field), separate(slug(field))):
                self.refuse(BOUND % "slug", [operation])
        self.model().objects.update(slug="A0EEBC999C0B4EF8BB6D6BB9BD380A11")
        self.model().objects.update(secret="s")
        self.refuse(BOUND % "slug", [slug(models.UUIDField())])
        self.assertValue("s")

    def test_a_type_in_which_the_row_has_the_same_text(self):
        self.migrate([alter(null=True, row="slug")])
        self.model().objects.create(slug="7", secret="s")
        steps = (models.IntegerField(), models.BigIntegerField(db_column="Nr"), models.CharField(max_length=9))
        for field in steps:
            self.migrate([slug(field)])
            self.assertValue("s")
        self.back("0004_step")
        self.assertValue("s")

    def test_the_way_back_is_judged_too(self):
        self.migrate([alter(null=True, row="slug")])
        self.model().objects.create(slug="7")
        self.migrate([slug(models.IntegerField())], [slug(models.CharField(max_length=9))])
        self.model().objects.update(slug="007")
        self.model().objects.update(secret="s")
        with self.assertRaisesMessage(FieldError, BOUND % "slug"):
            self.back("0005_step")
        self.assertValue("s")

    def test_another_primary_key(self):
        uid = models.UUIDField(default=uuid.uuid4)
        key = models.UUIDField(default=uuid.uuid4, primary_key=True)
        self.migrate([alter(null=True, row="pk"), migrations.AddField("Note", "uid", uid)])
        self.model().objects.create(secret="s")
        remove, become = migrations.RemoveField("Note", "id"), migrations.AlterField("Note", "uid", key)
        self.refuse(BOUND % "id", [remove, become])
        self.refuse(BOUND % "id", [remove, migrations.AddField("Note", "key", models.AutoField(primary_key=True))])
        self.migrate([migrations.AlterField("Note", "id", models.BigAutoField(primary_key=True))])
        self.migrate([migrations.RenameField("Note", "id", "number")])
        self.assertValue("s")
        # Without values there is nothing to lose.
        self.model().objects.update(secret=None)
        self.migrate([migrations.RemoveField("Note", "number"), become])
        self.model().objects.update(secret="s")
        self.assertValue("s")

    def test_a_row_field_that_goes(self):
        label = migrations.AddField("Note", "label", models.TextField(default="l"))
        self.migrate([alter(null=True, row="slug"), label])
        self.model().objects.create(secret="s")
        remove = migrations.RemoveField("Note", "slug")
        self.refuse(BOUND % "slug", [remove, alter(null=True, row="label")])
        self.assertValue("s")
        self.migrate([migrations.RemoveField("Note", "secret"), remove])

    def test_a_key_of_another_table(self):
        relation = models.OneToOneField("vault.Note", models.CASCADE, to_field="slug", primary_key=True)
        memo = migrations.CreateModel("Memo", [("note", relation), ("text", EncryptedTextField(row="pk"))])
        self.migrate([slug(models.TextField(unique=True)), memo])
        self.model().objects.create(slug="007")
        self.model("Memo").objects.create(note_id="007", text="s")
        self.refuse("vault.Memo.text", [slug(models.IntegerField(unique=True))])
        self.assertValue("s", "text", "Memo")
