"""What the role of the application needs, and one that may migrate but is no superuser."""

from django.db import connection, transaction
from django.db.utils import ProgrammingError

from django_trustpoint.operations import CreateDek, TrustpointExtension

from ..models import Account, Device
from .base import FieldTest, ask


class RoleTest(FieldTest):
    def setUp(self):
        ask("CREATE ROLE vault_app")
        ask("GRANT SELECT, INSERT, UPDATE ON vault_device, vault_account TO vault_app")
        ask("GRANT USAGE ON vault_device_id_seq, vault_account_id_seq TO vault_app")

    def become(self, *capabilities):
        ask("RESET ROLE")
        for capability in capabilities:
            ask("SELECT tp_grant('vault_app', %s)", [capability])
        ask("SET LOCAL ROLE vault_app")

    def test_encrypt_decrypt_and_search(self):
        self.become("encrypt", "search")
        Device.objects.create(name="n", secret="s")
        account = Account.objects.create(email="anna@example.org")
        self.assertEqual(Account.objects.defer("email", "phone").get(email_index="anna@example.org"), account)
        with self.assertRaisesMessage(
            ProgrammingError, "permission denied for function tp_decrypt"
        ), transaction.atomic():
            Device.objects.get()
        self.become("decrypt")
        self.assertEqual(Device.objects.get().secret, "s")

    def test_a_role_that_is_no_superuser_migrates_over_an_extension_that_is_there(self):
        self.become()
        with connection.schema_editor() as editor:
            TrustpointExtension().database_forwards("vault", editor, None, None)
        with self.assertRaises(ProgrammingError), transaction.atomic(), connection.schema_editor() as editor:
            CreateDek("more").database_forwards("vault", editor, None, None)
