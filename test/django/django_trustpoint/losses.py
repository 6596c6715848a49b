"""The operations of a migration that would lose values are refused."""

from copy import copy
from functools import partial

from django.core.exceptions import FieldDoesNotExist, FieldError
from django.db import connections, migrations

from .blind_index import BlindIndexField
from .fields import EncryptedBinaryField, EncryptedField, EncryptedJSONField
from .index_losses import problem_of_hashes, problems_of_sources
from .migrating import encrypted_fields, has_rows

RENAMES = (migrations.RenameField, migrations.RenameModel)
CHANGES = RENAMES + (migrations.AlterField,)
COLUMNS = (migrations.AddField, migrations.AlterField, migrations.RemoveField)
SOURCES = (migrations.AddField, migrations.RemoveField, migrations.RenameField)
WITH_STATE = (migrations.SeparateDatabaseAndState, migrations.RunSQL)
JUDGED = RENAMES + COLUMNS + WITH_STATE


def refuse_losses(sender, using, plan, **kwargs):
    """
    Has the operations of the plan judged, each when its turn comes: only then are the state and the rows those that it
    meets, forwards and backwards, after whatever the plan did before. What is faked is not judged.
    """
    if connections[using].vendor == "postgresql":
        for migration, _ in plan:
            if migration.app_label == sender.label:
                # The list is this plan's own; the operations in it are not.
                migration.operations = judged_all(migration.operations, str(migration))


def judged_all(operations, where):
    return [judged(operation, operations[number:], where) for number, operation in enumerate(operations, 1)]


def judged(operation, later, where):
    """A copy of the operation that raises a FieldError instead of losing values."""
    if not isinstance(operation, JUDGED):
        return operation
    operation = copy(operation)
    if isinstance(operation, migrations.SeparateDatabaseAndState):
        operation.database_operations = judged_all(operation.database_operations, where)
    operation.database_forwards = partial(judge, operation, later, operation.database_forwards, where, False)
    operation.database_backwards = partial(judge, operation, (), operation.database_backwards, where, True)
    return operation


def judge(operation, later, run, where, backwards, app_label, schema_editor, before, after):
    connection = schema_editor.connection
    for problem in problems_of(operation, later, backwards, app_label, connection, before, after):
        if problem:
            raise FieldError("%s: %s" % (where, problem))
    run(app_label, schema_editor, before, after)


def problems_of(operation, later, backwards, app_label, connection, before, after):
    if isinstance(operation, WITH_STATE):
        yield from problems_of_state(operation, backwards, app_label, connection, before, after)
    elif isinstance(operation, migrations.AddField) and not backwards:
        model = before.apps.get_model(app_label, operation.model_name)
        yield problem_of_addition(model, operation, connection)
    elif isinstance(operation, CHANGES):
        for old, new in changes(operation, backwards, app_label, before, after):
            yield problem_of_context(old, new, connection)
            yield problem_of_nulls(old, new, connection)
    if isinstance(operation, COLUMNS):
        yield from problems_of_rows(connection, before, after)
    if isinstance(operation, SOURCES):
        yield from problems_of_sources(operation, later, backwards, app_label, connection, before, after)


def problems_of_state(operation, backwards, app_label, connection, before, after):
    """An AlterField of the state may tell what the database operations beside it do, but no rename encrypts anew."""
    alone = isinstance(operation, migrations.SeparateDatabaseAndState) and not operation.database_operations
    kinds, columns = (CHANGES, COLUMNS) if alone else (RENAMES, ())
    state = after if backwards else before
    for inner in operation.state_operations:
        last, state = state, state.clone()
        inner.state_forwards(app_label, state)
        states = (state, last) if backwards else (last, state)
        if isinstance(inner, WITH_STATE):
            yield from problems_of_state(inner, backwards, app_label, connection, *states)
        elif isinstance(inner, kinds):
            for old, new in changes(inner, backwards, app_label, *states):
                yield problem_of_context(old, new, connection)
        elif isinstance(inner, migrations.CreateModel) and not backwards:
            for field in encrypted_fields(state.apps.get_model(app_label, inner.name)):
                yield problem_of_takeover(field, connection)
        if isinstance(inner, columns):
            yield from problems_of_rows(connection, *states)


def changes(operation, backwards, app_label, before, after):
    """The encrypted fields and blind indexes that an operation changes, each as it is and as it is to be."""
    if isinstance(operation, migrations.RenameModel):
        names = [(operation.old_name, None), (operation.new_name, None)]
    elif isinstance(operation, migrations.RenameField):
        names = [(operation.model_name, operation.old_name), (operation.model_name, operation.new_name)]
    else:
        names = [(operation.model_name, operation.name)] * 2
    (old_model, old_name), (new_model, new_name) = reversed(names) if backwards else names
    new_fields = after.apps.get_model(app_label, new_model)._meta
    for field in before.apps.get_model(app_label, old_model)._meta.local_concrete_fields:
        if isinstance(field, (EncryptedField, BlindIndexField)) and old_name in (None, field.name):
            yield field, new_fields.get_field(new_name or field.name)


def problem_of_context(old, new, connection):
    if isinstance(old, BlindIndexField):
        return problem_of_hashes(old, new, connection)
    encrypted = isinstance(new, EncryptedField)
    if encrypted and old.context_parts == new.context_parts and same_row(old, new) and not narrows(old, new):
        return None
    if not has_rows(old.model, connection, old.column, "IS NOT NULL"):
        return None
    if not encrypted:
        return (
            "a clear field would show the values of %s as ciphertext. Add it beside this one, fill it with update() in a"
            " RunPython, and remove this one." % old
        )
    if narrows(old, new):
        return (
            "the values of %s need not be what %s reads, and one that is not would fail each query that sees it. Add a"
            " second field, fill it in a RunPython, and remove this one." % (old, type(new).__name__)
        )
    if old.context is None and new.context is None and old.row == new.row:
        return (
            "the name is part of the context of %s, and its values would not decrypt under another. First give it"
            " context=%r in an AlterField." % (old, old.context_parts)
        )
    return (
        "the values of %s would not decrypt under another context. Leave it context=%r, row=%r, or add a second field, fill"
        " it with update() in a RunPython, and remove this one." % (old, old.context_parts, old.row)
    )


def narrows(old, new):
    """Bytes need not be text, and text need not be JSON."""
    if isinstance(old, EncryptedBinaryField):
        return not isinstance(new, EncryptedBinaryField)
    return isinstance(new, EncryptedJSONField) and not isinstance(old, EncryptedJSONField)


def problem_of_takeover(field, connection):
    """A model that moves here from another app leaves its name, but not its table."""
    if field.context is None and has_rows(field.model, connection, field.column, "IS NOT NULL"):
        return "%s has values already. Give it the context=... that they are encrypted under." % field
    return None


def same_row(old, new):
    if old.row is None or new.row is None:
        return old.row == new.row
    try:
        return old.row_field.column == new.row_field.column
    except FieldDoesNotExist:
        return True  # it was renamed by the operation before, or will be by the next


def problems_of_rows(connection, before, after):
    """
    Adding, altering or removing a field may change the text that values are bound to, of other models too: a relation's
    column changes with the key that it refers to.
    """
    for key, state in before.models.items():
        later = after.models[key].fields
        for old in encrypted_fields(before.apps.get_model(*key)):
            # Where the row itself is another one, or the type clear, it is the operation's own field, and judged as such.
            if old.row is not None and getattr(later.get(old.name), "row", None) == old.row:
                new = after.apps.get_model(*key)._meta.get_field(old.name)
                yield problem_of_row(old, new, state.fields, later, connection)


def problem_of_row(old, new, fields, later, connection):
    name = old.model._meta.pk.name if old.row == "pk" else old.row
    if name not in fields:
        return None  # it was renamed by the operation before; or removed, where Django makes up another key
    values = "IS NOT NULL"
    if name in later and name == new.row_field.name:
        kinds = [field.row_field.rel_db_type(connection) for field in (old, new)]
        if kinds[0] == kinds[1]:
            return None
        # As ALTER TABLE casts it. "7" becomes a number that is the same text, "007" does not.
        column = connection.ops.quote_name(old.row_field.column)
        values += " AND CAST(%s AS text) <> CAST(CAST(%s AS %s) AS text)" % (column, column, kinds[1])
    if not has_rows(old.model, connection, old.column, values):
        return None
    return (
        "the values of %s are bound to the text that '%s' has now, and would not decrypt without it. Before that, add a"
        " second field without row, fill it with update() in a RunPython, and remove this one." % (old, name)
    )


def problem_of_nulls(old, new, connection):
    if not isinstance(new, EncryptedField) or new.null or not old.null or not old.model._meta.managed:
        return None
    if has_rows(old.model, connection, old.column, "IS NULL"):
        return (
            "%s is NULL in some rows, whose values must be encrypted one by one. Fill them with update() in a RunPython"
            " before it becomes NOT NULL." % old
        )
    return None


def problem_of_addition(model, operation, connection):
    field = operation.field
    if not isinstance(field, (EncryptedField, BlindIndexField)) or not model._meta.managed:
        return None
    if field.null and not field.has_default():
        return None
    if has_rows(model, connection):
        return (
            "%s cannot be added %s to a table with rows, whose values must be encrypted one by one. Add it with null=True"
            " alone, fill it with update() in a RunPython, then make it as it is to be."
            % (operation.name, "with a default" if field.null else "NOT NULL")
        )
    return None
