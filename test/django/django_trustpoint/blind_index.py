"""Finding rows by an encrypted value: a column with the keyed hash of the plaintext, made by tp_blind_index."""

from django.core.exceptions import FieldDoesNotExist, FieldError
from django.db import models
from django.db.models.expressions import Expression, F
from django.db.models.query_utils import DeferredAttribute
from django.utils.functional import Promise

from .expressions import is_ciphertext, type_of
from .rows import plain_values, updated_names
from .sql import Plaintext, context_sql, literal, text_of


class IndexAttribute(DeferredAttribute):
    """
    Reading it gives what the column is to become: an expression over the source's value in this object. So every way to
    save an object, bulk_update() and fixtures too, writes the index that fits. The stored bytes are behind it.
    """

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        source = self.field.source_field
        given = instance.__dict__.get(self.field.attname)
        if is_text(given) and text_of(given) != source.to_python(instance.__dict__.get(source.attname)):
            raise ValueError("%s follows '%s', which has another value: set that one" % (self.field, source.name))
        if source.attname in instance.__dict__:
            value = instance.__dict__[source.attname]
            return None if value is None else BlindIndex(self.field, value)
        if self.field.attname in instance.__dict__:
            return instance.__dict__[self.field.attname]
        return super().__get__(instance, owner)

    def __set__(self, instance, value):
        instance.__dict__[self.field.attname] = value


class BlindIndexField(models.BinaryField):
    """
    BlindIndexField("secret") follows the encrypted text field "secret" and finds by it: filter(secret_index="text"), and
    __in. unique=True makes the plaintext unique. context: the encrypted field's, without its row value, when left out.
    """

    descriptor_class = IndexAttribute

    def __init__(self, source, key="default", context=None, **kwargs):
        self.source = source
        self.key = key
        self.context = (context,) if isinstance(context, str) else None if context is None else tuple(context)
        kwargs.setdefault("db_index", not kwargs.get("unique", False))
        kwargs.setdefault("null", True)
        kwargs["blank"] = True
        kwargs["editable"] = False
        kwargs["serialize"] = False
        super().__init__(**kwargs)

    def deconstruct(self):
        name, path, args, kwargs = super().deconstruct()
        for implied in ("blank", "editable", "serialize", "db_index"):
            kwargs.pop(implied, None)
        if self.db_index == self.unique:
            kwargs["db_index"] = self.db_index
        kwargs["null"] = self.null
        if self.key != "default":
            kwargs["key"] = self.key
        if self.context is not None:
            kwargs["context"] = self.context
        return name, path, [self.source], kwargs

    def contribute_to_class(self, cls, name, **kwargs):
        super().contribute_to_class(cls, name, **kwargs)
        # Django keeps the descriptor of an abstract model, whose context is another one.
        setattr(cls, self.attname, self.descriptor_class(self))

    @property
    def source_field(self):
        try:
            return self.model._meta.get_field(self.source)
        except FieldDoesNotExist:
            raise FieldDoesNotExist(
                "%s follows '%s', which its model does not have: a migration that renames that alters the index next, before"
                " rows are written" % (self, self.source)
            ) from None

    @property
    def context_parts(self):
        return self.source_field.context_parts if self.context is None else self.context

    def call_sql(self, function, value_sql):
        key_sql = "" if self.key == "default" else ", %s" % literal(self.key)
        return "%s(CAST(%s AS text), %s%s)" % (function, value_sql, context_sql(self.context_parts), key_sql)

    # ---- the column

    def db_check(self, connection):
        return "octet_length(%s) = 32" % connection.ops.quote_name(self.column)

    def db_type(self, connection):
        return "bytea"

    # ---- writing

    def pre_save(self, model_instance, add):
        # update_or_create(), too, writes the fields with a pre_save of their own beside what is named, from Django 4.2 on.
        if not add and self.source_field.attname not in model_instance.__dict__:
            # A deferred value stays as it is in the table, and so does its index: this object may know an older one.
            return F(self.name)
        value = super().pre_save(model_instance, add)
        if is_text(model_instance.__dict__.get(self.attname)):
            # Text that get_or_create(), say, gave: it was compared with the source, which may change from now on.
            model_instance.__dict__[self.attname] = value
        return value

    def get_placeholder(self, value, compiler, connection):
        self.refuse_another_text(value, compiler.query)
        if isinstance(value, Plaintext):
            return self.call_sql("tp_blind_index", "%s")
        if is_hash(value):
            refuse_other_hashes(self, value)
        elif hasattr(value, "as_sql"):
            refuse_ciphertext(self, value)
            return self.call_sql("tp_blind_index", "%s")
        return "%s"

    def refuse_another_text(self, value, query):
        """The other half of EncryptedField.refuse_stale_index()."""
        if self.is_of_another_text(value, query):
            raise FieldError(
                "%s would be of another text than '%s': name both with the same value, or bring it up to date with"
                " update(%s=F(%r))" % (self, self.source, self.name, self.source)
            )

    def is_of_another_text(self, value, query):
        updated, given = updated_names(query), isinstance(value, (Plaintext, BlindIndex))
        # bulk_update() has the stored hash of an object whose source is deferred: it may be an older one.
        stored = value is not None and not given and not hasattr(value, "as_sql")
        if stored or self.source not in updated:
            return (given or stored) and self.name in updated
        source = plain_values(query)
        if self.source not in source:
            return False
        if given or value is None:
            text = value.value if isinstance(value, BlindIndex) else value
            return self.source_field.to_python(text) != self.source_field.to_python(source[self.source])
        # Of the columns as they are, which this statement changes.
        return getattr(value, "contains_column_references", False)

    def get_db_prep_value(self, value, connection, prepared=False):
        if is_text(value):
            return Plaintext(value)
        if isinstance(value, BlindIndex):
            # Of an object, in what full_clean() compares a UniqueConstraint of expressions with.
            return self.source_field.get_db_prep_value(value.value, connection)
        return super().get_db_prep_value(value, connection, prepared)

    def get_db_prep_save(self, value, connection):
        return value if hasattr(value, "as_sql") else self.get_db_prep_value(value, connection)

    def get_lookup(self, name):
        from .index_lookups import LOOKUPS

        lookup = LOOKUPS.get(name)
        if lookup is None:
            raise FieldError("a blind index finds equal values alone: %s has no lookup '%s'" % (self, name))
        return lookup

    def check(self, **kwargs):
        from .checks import check_blind_index

        return super().check(**kwargs) + check_blind_index(self)


class BlindIndex(Expression):
    """tp_blind_index of a value, or of an expression, for a field."""

    def __init__(self, field, value):
        super().__init__(output_field=field)
        self.target, self.value = field, value

    def __repr__(self):
        return "<blind index %s>" % self.target

    def resolve_expression(self, query=None, allow_joins=True, reuse=None, summarize=False, for_save=False):
        resolved = super().resolve_expression(query, allow_joins, reuse, summarize, for_save)
        if hasattr(self.value, "resolve_expression"):
            resolved.value = self.value.resolve_expression(query, allow_joins, reuse, summarize, for_save)
        return resolved

    def as_sql(self, compiler, connection):
        # An INSERT asks for no placeholder here, nor does bulk_update().
        self.target.refuse_another_text(self, compiler.query)
        sql, params = plain_sql(self.target, self.value, compiler, connection)
        return self.target.call_sql("tp_blind_index", sql), params

    def get_group_by_cols(self, *args, **kwargs):
        return []


def is_text(value):
    return isinstance(value, (str, Promise))


def is_hash(expression):
    """Whether an expression gives stored hashes."""
    return isinstance(type_of(expression), BlindIndexField)


def refuse_other_hashes(field, expression):
    other = expression.output_field
    if (other.key, other.context_parts) != (field.key, field.context_parts):
        raise FieldError("%s and %s have different keys or contexts: equal texts differ" % (field, other))


def refuse_ciphertext(field, expression):
    if is_ciphertext(expression, field):
        raise FieldError("%s is a hash of plaintext, and cannot be made of what is encrypted already" % field)


def plain_sql(field, value, compiler, connection):
    if hasattr(value, "as_sql"):
        refuse_ciphertext(field, value)
        return compiler.compile(value)
    return "%s", [field.source_field.get_db_prep_save(value, connection)]
