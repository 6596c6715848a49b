from django.apps import AppConfig
from django.core import checks
from django.db.models.signals import post_migrate, pre_migrate


class TrustpointConfig(AppConfig):
    name = "django_trustpoint"
    verbose_name = "Trustpoint"

    def ready(self):
        from . import checks as own_checks
        from . import logs, losses, migrating

        checks.register(own_checks.check_databases, checks.Tags.database)
        pre_migrate.connect(losses.refuse_losses, dispatch_uid="trustpoint_refuse_losses")
        post_migrate.connect(migrating.set_storage, dispatch_uid="trustpoint_set_storage")
        migrating.prepare_schema_editor()
        logs.install()
