"""
A context that holds a value of the row itself, so that a ciphertext moved to another row does not decrypt.

The value must be known when the row is encrypted, which is before the INSERT. A primary key that the database would
generate in the INSERT is therefore drawn from its sequence first.
"""

from functools import partial

from django.core.exceptions import FieldDoesNotExist, FieldError
from django.db import connections, models, router
from django.db.models import signals
from django.db.models.sql import InsertQuery, UpdateQuery

from .sql import literal, text_of

GENERATED = (models.AutoField, models.BigAutoField, models.SmallAutoField)


class RowBound:
    """The part of EncryptedField that knows the row."""

    row = None

    @property
    def row_field(self):
        if self.row is None:
            return None
        meta = self.model._meta
        return meta.pk if self.row == "pk" else meta.get_field(self.row)

    def row_type(self, connection):
        """The type whose text is part of the context. varchar would cut a value that is too long."""
        kind = self.row_field.rel_db_type(connection)
        return "text" if kind.startswith("varchar") else kind

    def row_value(self, instance):
        """The row's value of an instance that is about to be saved."""
        return None if self.row is None else RowValue(self, instance)

    def known_row(self, instance):
        value = getattr(instance, self.row_field.attname)
        if value is None:
            raise ValueError(
                "%s is bound to the field '%s', which has no value yet when the row is encrypted"
                % (self, self.row_field.name)
            )
        if hasattr(value, "resolve_expression"):
            raise FieldError(
                "%s is bound to the field '%s', which must have a value when the row is encrypted, not an expression"
                % (self, self.row_field.name)
            )
        return value

    def row_sql_of_statement(self, compiler, connection):
        """The row's value in a statement: of the only object of a raw INSERT; in an UPDATE the new one, or the column."""
        if self.row is None:
            return None
        query, row = compiler.query, self.row_field
        updated = plain_values(query)
        if isinstance(query, InsertQuery):
            if len(query.objs) != 1:
                raise FieldError("%s is bound to a row: one raw INSERT writes one row" % self)
            value = self.known_row(query.objs[0])
        elif row.name in updated:
            value = updated[row.name]
        else:
            return connection.ops.quote_name(row.column)
        value = row.get_db_prep_save(value, connection)
        return "CAST(%s AS %s)" % (literal(text_of(value)), self.row_type(connection))

    def refuse_half_updates(self, query):
        """An UPDATE that would leave the value unreadable, or its blind index behind."""
        updated = updated_names(query)
        if isinstance(query, UpdateQuery):
            self.refuse_stale_index(updated)
            changes_row = self.row is not None and self.row_field.name in updated
            if changes_row and not self.saves_instance(query) and not self.renews_row(query):
                raise FieldError(
                    "%s is bound to '%s': one update() cannot change both; save() the objects instead"
                    % (self, self.row_field.name)
                )
        elif isinstance(query, InsertQuery):
            unique = {getattr(field, "name", field) for field in getattr(query, "unique_fields", None) or ()}
            if self.name in updated:
                self.refuse_stale_index(updated)
            # What is kept is the row that was there, under its own value.
            half = self.row is not None and updated & {self.name, self.row_field.name}
            if half and self.row_field.name not in unique:
                raise FieldError(
                    "%s is bound to '%s': in update_conflicts that must be one of unique_fields"
                    % (self, self.row_field.name)
                )

    def refuse_stale_index(self, updated):
        for index in self.blind_indexes():
            if index.name not in updated:
                raise FieldError(
                    "an update of %s leaves its blind index behind: name '%s' too, with the same value"
                    % (self, index.name)
                )

    def saves_instance(self, query):
        """Model.save() passes expressions that hold the new row value themselves."""
        from .expressions import Encrypt

        return all(isinstance(value, Encrypt) or value is None for field, model, value in query.values if field is self)

    def renews_row(self, query):
        """A raw save(), of a fixture, tries an UPDATE first: the row and all that is bound to it, as values alone."""
        bound = {
            field.name
            for field in self.model._meta.local_concrete_fields
            if isinstance(field, RowBound) and field.row_field == self.row_field
        }
        return plain_values(query).keys() >= bound | {self.row_field.name}

    # ---- what is done before save()

    def prepare_rows(self, cls):
        if self.row is not None and not cls._meta.abstract:
            signals.class_prepared.connect(self.prepare_signals, sender=cls)

    def prepare_signals(self, sender, **kwargs):
        try:
            key = self.row_field
        except FieldDoesNotExist:
            return  # the checks say so
        if not key.primary_key:
            signals.pre_save.connect(self.refuse_half_saves)
        elif isinstance(key, GENERATED):
            # The sender may be a proxy or a child as well. Once for all fields of a model.
            signals.pre_save.connect(self.draw_before_save, dispatch_uid=("trustpoint_draw_key", id(sender)))
            # bulk_create() sends no signal, but asks the key.
            key.get_pk_value_on_save = partial(draw_key, key)

    def refuse_half_saves(self, sender, instance, using, update_fields, **kwargs):
        """save() of some fields, or of an object with deferred ones, that would leave the value under the old row."""
        row = self.row_field
        if not isinstance(instance, self.model) or not update_fields or self.name in update_fields:
            return
        if update_fields & {row.name, row.attname}:
            kept = self.model._base_manager.using(using).filter(pk=instance.pk).exclude(**{self.name: None})
            if kept.exclude(**{row.name: getattr(instance, row.attname)}).exists():
                raise FieldError("%s is bound to '%s': save it too when that changes" % (self, row.name))

    def draw_before_save(self, sender, instance, using, **kwargs):
        # A child whose key is known adds itself to that row of its parent.
        if isinstance(instance, self.model) and instance.pk is None:
            draw_key(self.row_field, instance, using)


def updated_names(query):
    """The fields that a statement sets in rows that are there already."""
    if isinstance(query, UpdateQuery):
        return {field.name for field, model, value in query.values}
    # bulk_create(update_conflicts=True), from Django 4.1 on.
    return {getattr(field, "name", field) for field in getattr(query, "update_fields", None) or ()}


def plain_values(query):
    """What an UPDATE sets to values, by the names of their fields: neither expressions nor objects of other models."""
    values = query.values if isinstance(query, UpdateQuery) else ()
    return {
        field.name: value
        for field, model, value in values
        if not hasattr(value, "as_sql") and not hasattr(value, "prepare_database_save")
    }


class RowValue:
    """Looks at the instance when the statement is made: by then each of its fields has the value that it may give itself."""

    def __init__(self, field, instance):
        self.field, self.instance = field, instance

    def as_sql(self, query, connection):
        row, state = self.field.row_field, self.instance._state
        if isinstance(query, UpdateQuery) and all(field != row for field, model, value in query.values):
            # What is not written stays as it is in the table, whatever this object knows of it.
            return connection.ops.quote_name(row.column), []
        # Once it is saved, the key is a value as any other.
        drawn_from = getattr(state, "trustpoint_sequence", None) if state.adding else None
        if drawn_from not in (None, connection.alias):
            raise ValueError(
                "the key of this object was drawn from the database '%s': set it before you write to '%s'"
                % (drawn_from, connection.alias)
            )
        value = row.get_db_prep_save(self.field.known_row(self.instance), connection)
        return "CAST(%%s AS %s)" % self.field.row_type(connection), [value]


def draw_key(key, instance, using=None):
    value = getattr(instance, key.attname)
    if value is None:
        using = using or router.db_for_write(type(instance), instance=instance)
        connection = connections[using]
        with connection.cursor() as cursor:
            table = connection.ops.quote_name(key.model._meta.db_table)
            cursor.execute("SELECT nextval(pg_get_serial_sequence(%s, %s))", [table, key.column])
            (value,) = cursor.fetchone()
        setattr(instance, key.attname, value)
        instance._state.trustpoint_sequence = using
    return value
