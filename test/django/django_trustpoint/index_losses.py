"""What a migration would leave of a blind index: hashes of another text than its field's."""

from django.core.exceptions import FieldDoesNotExist
from django.db import migrations

from .blind_index import BlindIndexField
from .migrating import has_rows


def problem_of_hashes(old, new, connection):
    if not isinstance(new, BlindIndexField) or same_hashes(old, new):
        return None
    if not has_rows(old.model, connection, old.column, "IS NOT NULL"):
        return None
    return (
        "the hashes of %s are of another text, context or key, and would find nothing. Empty it with update(%s=None) in a"
        " RunPython before, and fill it with update(%s=F(%r)) after." % (old, old.name, new.name, new.source)
    )


def same_hashes(old, new):
    if old.key != new.key:
        return False
    try:
        parts = [(field.source_field.column, field.context_parts) for field in (old, new)]
        return parts[0] == parts[1]
    except FieldDoesNotExist:
        return True  # the source was renamed by the operation before, or will be by the next


def problems_of_sources(operation, later, backwards, app_label, connection, before, after):
    """A field that comes or goes while its blind index stays."""
    old, new = (state.apps.get_model(app_label, operation.model_name)._meta for state in (before, after))
    names = [{field.name for field in meta.local_concrete_fields} for meta in (old, new)]
    for index in old.local_concrete_fields:
        if not isinstance(index, BlindIndexField) or index.name not in names[1] or is_removed(index, later):
            continue
        there = [index.source in known for known in names]
        # A rename takes it away until the AlterField of the index, which comes next; backwards that was before.
        renamed = isinstance(operation, migrations.RenameField) and there[backwards]
        if there[0] != there[1] and not renamed and has_rows(index.model, connection, index.column, "IS NOT NULL"):
            yield (
                "the hashes of %s are of the text that '%s' had, and would find no other. Remove it in the same migration, or"
                " empty it with update(%s=None) in a RunPython before and fill it with update(%s=F(%r)) after."
                % (index, index.source, index.name, index.name, index.source)
            )


def is_removed(index, operations):
    name = (index.model._meta.model_name, index.name.lower())
    return any(
        isinstance(operation, migrations.RemoveField) and (operation.model_name_lower, operation.name_lower) == name
        for operation in operations
    )
