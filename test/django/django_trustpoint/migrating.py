"""What a migration does beside its operations: columns are stored uncompressed, without a DEFAULT, with their CHECK."""

from django.db import connections, router
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from .blind_index import BlindIndexField
from .fields import EncryptedField


def encrypted_fields(model):
    return [field for field in model._meta.local_concrete_fields if isinstance(field, EncryptedField)]


def has_rows(model, connection, column=None, condition=""):
    if not router.allow_migrate_model(connection.alias, model):
        return False
    quote = connection.ops.quote_name
    table, where = quote(model._meta.db_table), "%s %s" % (quote(column), condition) if column else "true"
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [table])
        (exists,) = cursor.fetchone()
        if exists:
            cursor.execute("SELECT EXISTS (SELECT FROM %s WHERE %s)" % (table, where))
            (exists,) = cursor.fetchone()
        return exists


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


# ---- the schema editor


def prepare_schema_editor():
    """
    A default would be the column's DEFAULT for a moment, as it is and not as the ciphertext that the column takes: the
    schema editor sees none. And AlterField of Django 5 knows of no CHECK but those of Django's own types.
    """
    editor = BaseDatabaseSchemaEditor

    def effective_default(self, field, django=editor.effective_default):
        return None if isinstance(field, EncryptedField) else django(self, field)

    def field_db_check(self, field, params, django=getattr(editor, "_field_db_check", None)):
        if isinstance(field, EncryptedField):
            return "tp_is_encrypted(__column__)"
        return "octet_length(__column__) = 32" if isinstance(field, BlindIndexField) else django(self, field, params)

    editor.effective_default = effective_default
    if hasattr(editor, "_field_db_check"):
        editor._field_db_check = field_db_check
