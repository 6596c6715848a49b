"""What a migration does beside its operations: columns are stored uncompressed, and plans that lose values are refused."""

from django.core.exceptions import FieldError
from django.db import connections, migrations, models, router

from .fields import EncryptedField


def encrypted_fields(model):
    return [field for field in model._meta.local_concrete_fields if isinstance(field, EncryptedField)]


def set_storage(sender, using, apps=None, **kwargs):
    """STORAGE EXTERNAL: ciphertext does not compress. PostgreSQL 15 has no word for it in CREATE TABLE."""
    connection = connections[using]
    # `flush` sends the signal without apps: it changed no column.
    if connection.vendor != "postgresql" or apps is None or sender.label not in apps.app_configs:
        return
    for model in apps.get_app_config(sender.label).get_models():
        columns = [field.column for field in encrypted_fields(model)]
        if not columns or not model._meta.managed or not router.allow_migrate_model(using, model):
            continue
        table = connection.ops.quote_name(model._meta.db_table)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = ANY(%s)"
                " AND attstorage <> 'e' AND NOT attisdropped",
                [table, columns],
            )
            for (column,) in cursor.fetchall():
                cursor.execute(
                    "ALTER TABLE %s ALTER COLUMN %s SET STORAGE EXTERNAL" % (table, connection.ops.quote_name(column))
                )


def refuse_lossy_plans(sender, using, apps, plan, **kwargs):
    """Before anything runs: renames that would change a context, defaults that would be stored in clear."""
    for migration, backwards in plan:
        if migration.app_label != sender.label:
            continue
        for operation in migration.operations:
            problem = problem_of(operation, migration.app_label, apps, using, backwards)
            if problem:
                raise FieldError("%s.%s: %s" % (migration.app_label, migration.name, problem))


def problem_of(operation, app_label, apps, using, backwards):
    if isinstance(operation, migrations.RenameModel):
        model = known(apps, app_label, operation.new_name if backwards else operation.old_name)
        fields = encrypted_fields(model) if model else []
    elif isinstance(operation, migrations.RenameField):
        model = known(apps, app_label, operation.model_name)
        name = operation.new_name if backwards else operation.old_name
        fields = [field for field in encrypted_fields(model) if field.name == name] if model else []
    elif isinstance(operation, migrations.AddField) and not backwards:
        model = known(apps, app_label, operation.model_name)
        if (
            model
            and isinstance(operation.field, EncryptedField)
            and not operation.field.null
            and has_rows(model, using)
        ):
            return (
                "%s cannot be added NOT NULL to a table with rows, whose values must be encrypted one by one. Add it with"
                " null=True, fill it with update() in a RunPython, then make it NOT NULL." % operation.name
            )
        return None
    else:
        return None
    for field in fields:
        if field.context is None:
            return (
                "the name is part of the context of %s, and its values would not decrypt under another. First give it"
                " context=%r in a migration of its own." % (field, field.context_parts)
            )
    return None


def known(apps, app_label, name):
    try:
        return apps.get_model(app_label, name)
    except LookupError:
        return None


def has_rows(model, using):
    connection = connections[using]
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [connection.ops.quote_name(model._meta.db_table)])
        return cursor.fetchone()[0] and model._default_manager.using(using).exists()
