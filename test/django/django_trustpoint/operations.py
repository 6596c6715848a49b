"""Migration operations."""

from django.db import router
from django.db.migrations.operations.base import Operation


class ServerOperation(Operation):
    """An operation on the database alone, for those databases that the routers allow."""

    reduces_to_sql = True
    reversible = True

    def __init__(self, hints=None):
        self.hints = hints or {}

    def deconstruct(self):
        kwargs = {"hints": self.hints} if self.hints else {}
        return self.__class__.__qualname__, [], kwargs

    def state_forwards(self, app_label, state):
        pass

    def allowed(self, app_label, schema_editor):
        connection = schema_editor.connection
        return connection.vendor == "postgresql" and router.allow_migrate(connection.alias, app_label, **self.hints)


class TrustpointExtension(ServerOperation):
    """
    CREATE EXTENSION trustpoint where it is missing, which takes a superuser, and with setup=True (the default) tp_setup():
    the key in the token and the first data key, where they are missing and the role may make them.

    Backwards it is DROP EXTENSION, which deletes the wrapped data keys: the server refuses it while a column of an encrypted
    field is there.
    """

    def __init__(self, setup=True, hints=None):
        super().__init__(hints)
        self.setup = setup

    def deconstruct(self):
        name, args, kwargs = super().deconstruct()
        if not self.setup:
            kwargs["setup"] = False
        return name, args, kwargs

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        if not self.allowed(app_label, schema_editor):
            return
        if schema_editor.collect_sql or not self.exists(schema_editor):
            schema_editor.execute("CREATE EXTENSION IF NOT EXISTS trustpoint")
        if self.setup and (schema_editor.collect_sql or self.may_set_up(schema_editor)):
            schema_editor.execute("SELECT tp_setup()")

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        if self.allowed(app_label, schema_editor):
            schema_editor.execute("DROP EXTENSION IF EXISTS trustpoint")

    def exists(self, schema_editor):
        return self.ask(schema_editor, "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'trustpoint')")

    def may_set_up(self, schema_editor):
        return self.ask(schema_editor, "SELECT has_function_privilege('tp_setup()', 'EXECUTE')")

    def ask(self, schema_editor, question):
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(question)
            return cursor.fetchone()[0]

    def describe(self):
        return "Creates extension trustpoint"

    @property
    def migration_name_fragment(self):
        return "trustpoint_extension"


class CreateDek(ServerOperation):
    """tp_create_dek where the name has no DEK yet. Backwards nothing: values may need it."""

    def __init__(self, name="default", purpose="data", hints=None):
        super().__init__(hints)
        self.name, self.purpose = name, purpose

    def deconstruct(self):
        name, args, kwargs = super().deconstruct()
        return name, [self.name, self.purpose], kwargs

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        if self.allowed(app_label, schema_editor):
            schema_editor.execute(
                "SELECT tp_create_dek(%(name)s, %(purpose)s) WHERE NOT EXISTS"
                " (SELECT FROM tp_keyring WHERE name = %(name)s AND purpose = %(purpose)s)"
                % {"name": schema_editor.quote_value(self.name), "purpose": schema_editor.quote_value(self.purpose)}
            )

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        pass

    def describe(self):
        return "Creates the data key %s for purpose %s" % (self.name, self.purpose)

    @property
    def migration_name_fragment(self):
        return "dek_%s_%s" % (self.name, self.purpose)
