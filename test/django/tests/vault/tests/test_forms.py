"""Forms and full_clean() refuse what a unique blind index has already."""

import django
from django.core.exceptions import ValidationError
from django.db import connection, models
from django.db.models import F
from django.db.models.functions import Lower
from django.forms import modelform_factory
from django.test.utils import isolate_apps

from django_trustpoint.blind_index import BlindIndexField
from django_trustpoint.fields import EncryptedTextField

from ..models import Account
from .base import FieldTest


class FormTest(FieldTest):
    def test_duplicates_of_its_source(self):
        def errors(instance=None, **data):
            form = modelform_factory(Account, fields=["email"])(data, instance=instance)
            return dict(form.errors)

        anna = Account.objects.create(email="anna@example.org")
        Account.objects.create(email="bert@example.org")
        self.assertEqual(errors(email="new@example.org"), {})
        self.assertEqual(errors(email="anna@example.org"), {"email": ["Account with this Email already exists."]})
        self.assertEqual(errors(anna, email="anna@example.org"), {})
        self.assertEqual(errors(anna, email="bert@example.org").keys(), {"email"})
        with self.assertRaises(ValidationError) as caught:
            Account(email="anna@example.org").full_clean(exclude=["phone"])
        self.assertIn("email", caught.exception.message_dict)

    @isolate_apps("vault")
    def test_blank_texts_and_what_is_unique_together(self):
        class Login(models.Model):
            tenant = models.IntegerField(default=1)
            user = EncryptedTextField(blank=True)
            user_index = BlindIndexField("user")
            nick = EncryptedTextField(blank=True, null=True)
            nick_index = BlindIndexField("nick", unique=True)

            class Meta:
                app_label = "vault"
                unique_together = [("tenant", "user_index")]

        def errors(**data):
            return dict(modelform_factory(Login, fields=["tenant", "user", "nick"])(data).errors)

        with connection.schema_editor() as editor:
            editor.create_model(Login)
        Login.objects.create(user="a", nick="")
        together = {"user": ["Login with this Tenant and User already exists."]}
        self.assertEqual(errors(tenant=1, user="a", nick="n"), together)
        self.assertEqual(errors(tenant=2, user="a", nick="n"), {})
        Login.objects.create()
        self.assertEqual(errors(tenant=1, user="", nick="n"), together)
        with self.assertRaisesMessage(ValidationError, "Nick already exists"):
            Login(tenant=2, nick="").full_clean()
        Login(tenant=2).full_clean()

    if django.VERSION >= (4, 1):

        @isolate_apps("vault")
        def test_what_is_unique_by_expressions(self):
            class Login(models.Model):
                tenant = models.TextField()
                user = EncryptedTextField()
                user_index = BlindIndexField("user")

                class Meta:
                    app_label = "vault"
                    constraints = [models.UniqueConstraint(Lower("tenant"), F("user_index"), name="expressions")]

            with connection.schema_editor() as editor:
                editor.create_model(Login)
            Login.objects.create(tenant="T", user="a")
            Login(tenant="T", user="b").full_clean()
            with self.assertRaisesMessage(ValidationError, "expressions"):
                Login(tenant="t", user="a").full_clean()
