from django.db import migrations

from django_trustpoint.operations import CreateDek, TrustpointExtension


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        TrustpointExtension(),
        # Blind indexes have a key of their own.
        CreateDek("default", "index"),
    ]
