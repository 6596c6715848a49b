"""What `manage.py check` says: errors of field definitions, and with --database, warnings about the server."""

from django.core.checks import Error, Warning
from django.core.exceptions import FieldDoesNotExist
from django.db import DatabaseError, connections, models

ROW_TYPES = (
    models.AutoField,
    models.BigAutoField,
    models.SmallAutoField,
    models.IntegerField,
    models.CharField,
    models.TextField,
    models.UUIDField,
)


def check_field(field):
    errors = []

    def error(number, message, hint):
        errors.append(Error(message, hint=hint, obj=field, id="trustpoint.E%03d" % number))

    if field.is_part:
        error(7, "An encrypted field cannot be part of another field.", "Use EncryptedJSONField for lists.")
        return errors
    if (
        field.unique
        or field.primary_key
        or field.db_index
        or field.unique_for_date
        or field.unique_for_month
        or field.unique_for_year
        or field.name in compared_names(field.model._meta)
    ):
        error(
            1,
            "An encrypted field cannot be unique or indexed: equal values differ.",
            "Add a BlindIndexField('%s'), with unique=True where needed; constraints can name it." % field.name,
        )
    if getattr(field, "db_collation", None):
        error(2, "An encrypted field has no collation.", "Remove db_collation.")
    if getattr(field, "db_default", models.NOT_PROVIDED) is not models.NOT_PROVIDED:
        error(3, "An encrypted field cannot have a db_default.", "Use default.")
    if field.row is not None:
        errors += check_row(field)
    return errors


def compared_names(meta):
    """The fields that a model's Meta has in an index, or unique together with others."""
    for names in (*meta.unique_together, *getattr(meta, "index_together", ())):
        yield from names
    for index in (*meta.indexes, *meta.constraints):
        yield from (name.lstrip("-") for name in getattr(index, "fields", ()))
        for expression in getattr(index, "expressions", ()):
            yield from names_in(expression)


def names_in(expression):
    if isinstance(expression, models.F):
        yield expression.name
    elif hasattr(expression, "get_source_expressions"):
        for part in expression.get_source_expressions():
            yield from names_in(part)


def check_row(field):
    from .fields import EncryptedField

    try:
        row = field.row_field
    except FieldDoesNotExist:
        row = None
    if row is None or row not in field.model._meta.local_concrete_fields or row is field:
        return [Error("row='%s' is not another column of the same table." % field.row, obj=field, id="trustpoint.E004")]
    target = row
    while target.is_relation:  # the key of a child's child refers to a relation
        target = target.target_field
    by_server = getattr(row, "db_default", models.NOT_PROVIDED) is not models.NOT_PROVIDED
    if not isinstance(target, ROW_TYPES) or isinstance(target, EncryptedField) or row.null or by_server:
        return [
            Error(
                "row='%s' has no text that is known before the row is written and the same in every session." % field.row,
                hint="Use a field without null and db_default that holds a number, text or a UUID.",
                obj=field,
                id="trustpoint.E005",
            )
        ]
    return []


def check_blind_index(field):
    from .fields import EncryptedCharField, EncryptedTextField

    try:
        source = field.source_field
    except FieldDoesNotExist:
        source = None
    if not isinstance(source, (EncryptedCharField, EncryptedTextField)) or source.model is not field.model:
        return [
            Error("'%s' is not an encrypted text field of this model." % field.source, obj=field, id="trustpoint.E006")
        ]
    return []


def check_databases(app_configs=None, databases=None, **kwargs):
    warnings = []
    for alias in databases or ():
        connection = connections[alias]
        if connection.vendor == "postgresql":
            try:
                warnings += check_server(connection)
            except DatabaseError as error:
                warnings.append(
                    Warning("The database '%s' could not be asked: %s" % (alias, error), id="trustpoint.W001")
                )
    return warnings


def check_server(connection):
    where = "the database '%s'" % connection.alias
    with connection.cursor() as cursor:
        # Before the first migration there is nothing to say yet.
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'trustpoint') OR to_regclass('django_migrations') IS NULL"
        )
        if not cursor.fetchone()[0]:
            yield Warning(
                "The extension trustpoint is not in %s." % where,
                hint="Put TrustpointExtension() first into a migration, or call CREATE EXTENSION trustpoint as a superuser.",
                id="trustpoint.W002",
            )
        cursor.execute(
            "SELECT name, setting FROM pg_settings WHERE name IN ('log_statement', 'log_min_duration_statement',"
            " 'log_min_duration_sample', 'log_transaction_sample_rate', 'log_min_error_statement',"
            " 'log_parameter_max_length', 'log_parameter_max_length_on_error', 'auto_explain.log_min_duration')"
        )
        settings = dict(cursor.fetchall())
    server_binding = binds_on_server(connection)
    logging = [
        name for name in logs_statements(settings) if not server_binding or settings["log_parameter_max_length"] != "0"
    ]
    if logging:
        yield Warning(
            "The server of %s logs statements, with the secrets in them: %s."
            % (where, ", ".join("%s = %s" % (name, settings[name]) for name in logging)),
            hint="Set log_statement to 'ddl' or 'none' and the durations to -1"
            + (", or log_parameter_max_length to 0." if server_binding else "."),
            id="trustpoint.W003",
        )
    if not server_binding:
        yield Warning(
            "Parameters of %s are bound in the client: secrets are part of the statement's text, which the server logs"
            " when it fails (log_min_error_statement = %s) and shows in pg_stat_activity."
            % (where, settings["log_min_error_statement"]),
            hint="Use psycopg 3 with OPTIONS = {'server_side_binding': True} (Django 4.2 and newer), or set"
            " log_min_error_statement to 'panic' for the role of the application.",
            id="trustpoint.W004",
        )
    elif settings["log_parameter_max_length_on_error"] != "0":
        yield Warning(
            "The server of %s logs the parameters of failing statements." % where,
            hint="Set log_parameter_max_length_on_error to 0.",
            id="trustpoint.W005",
        )


def logs_statements(settings):
    if settings["log_statement"] in ("mod", "all"):
        yield "log_statement"
    for name in ("log_min_duration_statement", "log_min_duration_sample", "auto_explain.log_min_duration"):
        if settings.get(name, "-1") != "-1":
            yield name
    if settings["log_transaction_sample_rate"] != "0":
        yield "log_transaction_sample_rate"


def binds_on_server(connection):
    return (
        bool(connection.settings_dict["OPTIONS"].get("server_side_binding"))
        and hasattr(connection.Database, "ServerCursor")
        and connection.Database.__name__ == "psycopg"
    )
