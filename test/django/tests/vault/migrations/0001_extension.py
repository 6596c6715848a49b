from django.db import migrations

from django_trustpoint.operations import CreateDek, TrustpointExtension


class Migration(migrations.Migration):
    dependencies = []
    operations = [
        TrustpointExtension(),
        CreateDek("documents"),
        CreateDek("default", "index"),
        CreateDek("phones", "index"),
    ]
