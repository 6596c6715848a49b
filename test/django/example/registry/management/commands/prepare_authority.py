"""manage.py prepare_authority: the key of the CA in the token and its certificate, where they are missing."""

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import connection, transaction

from registry.models import Authority


class Command(BaseCommand):
    help = "Makes the CA's key in the token and its self-signed certificate, where they are missing."

    @transaction.atomic
    def handle(self, **options):
        label = settings.CA_LABEL
        if Authority.objects.filter(label=label).exists():
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM tp_hsm_keys() WHERE label = %s", [label])
            if not cursor.fetchone()[0]:
                cursor.execute("SELECT tp_generate_ec_key(%s, 'P-256')", [label])
            cursor.execute(
                "SELECT tp_self_signed_certificate(%s, %s, 3650, ca => true)", [label, "CN=Example device CA,O=Example"]
            )
            Authority.objects.create(label=label, certificate=cursor.fetchone()[0])
        self.stdout.write("The key '%s' is in the token." % label)
