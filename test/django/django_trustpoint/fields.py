"""The encrypted model fields: ordinary fields whose columns hold the ciphertext of tp_encrypt."""

import json

from django.core.exceptions import FieldError
from django.db import DataError, models
from django.db.models.query_utils import DeferredAttribute

from .columns import DecryptedCol
from .expressions import Ciphertext, Encrypt, is_ciphertext
from .indexed import Indexed
from .rows import RowBound
from .sql import PlainBytes, Plaintext, context_sql, literal


class EncryptedAttribute(DeferredAttribute):
    """A deferred value is loaded with its blind indexes when it is read: save() would write it, and leave them behind."""

    def __get__(self, instance, owner=None):
        if instance is not None and self.field.attname not in instance.__dict__:
            # Of the instance's own model: Django 3.2 keeps the descriptor of an abstract one, whose field may be overridden.
            field = instance._meta.get_field(self.field.name)
            indexes = field.blind_indexes() if isinstance(field, EncryptedField) else []
            names = [index.attname for index in indexes if index.attname not in instance.__dict__]
            instance.refresh_from_db(fields=[field.attname, *names])
        return super().__get__(instance, owner)


class EncryptedField(RowBound, Indexed):
    """
    What the encrypted fields share. Comes before the ordinary field among the bases.

    context  the parts of the context (tp_context); app label, model and field when left out
    row      the name of a field of the same row whose value is part of the context, or "pk"
    key      the name of the DEK
    """

    descriptor_class = EncryptedAttribute
    plain_type = "text"
    decrypt_function = "tp_decrypt"

    def __init__(self, *args, context=None, row=None, key="default", **kwargs):
        self.context = (context,) if isinstance(context, str) else None if context is None else tuple(context)
        self.row = row
        self.key = key
        super().__init__(*args, **kwargs)

    def deconstruct(self):
        name, path, args, kwargs = super().deconstruct()
        if self.context is not None:
            kwargs["context"] = self.context
        if self.row is not None:
            kwargs["row"] = self.row
        if self.key != "default":
            kwargs["key"] = self.key
        return name, path, args, kwargs

    def contribute_to_class(self, cls, name, **kwargs):
        super().contribute_to_class(cls, name, **kwargs)
        # Django 3.2 keeps the descriptor of an abstract model, whose field may be another.
        setattr(cls, self.attname, self.descriptor_class(self))
        self.prepare_rows(cls)

    @property
    def plain_field(self):
        """An ordinary field of the type of the plaintext."""
        raise NotImplementedError

    @property
    def is_part(self):
        """Whether it is a part of another field, as of ArrayField, which stores what it is given without its SQL."""
        return hasattr(self, "model") and self.model._meta.get_field(self.name) != self

    # ---- SQL

    @property
    def context_parts(self):
        if self.context is not None:
            return self.context
        return (self.model._meta.app_label, self.model._meta.model_name, self.name)

    def encrypt_sql(self, value_sql, row_sql=None):
        """SQL that encrypts a value for this column. A field with a row needs the SQL of the row's value."""
        key_sql = "" if self.key == "default" else ", %s" % literal(self.key)
        context = context_sql(self.context_parts, row_sql)
        return "tp_encrypt(CAST(%s AS %s), %s%s)" % (value_sql, self.plain_type, context, key_sql)

    def expression_sql(self, sql):
        """What the SQL of an expression becomes before it is encrypted."""
        return sql

    def decrypt_sql(self, column_sql, row_sql=None):
        """SQL that decrypts this column, for raw queries too. A field with a row needs the SQL of the row's value."""
        if (row_sql is None) != (self.row is None):
            raise TypeError("%s is bound to %s" % (self, "the field '%s': give its SQL too" % self.row if self.row else "no row"))
        return "%s(%s, %s)" % (self.decrypt_function, column_sql, context_sql(self.context_parts, row_sql))

    def get_col(self, alias, output_field=None):
        return DecryptedCol(alias, self)

    @property
    def cached_col(self):
        return DecryptedCol(self.model._meta.db_table, self)

    # ---- the column

    def db_type(self, connection):
        return "bytea"

    def db_check(self, connection):
        return "tp_is_encrypted(%s)" % connection.ops.quote_name(self.column)

    def db_parameters(self, connection):
        return {"type": self.db_type(connection), "check": self.db_check(connection)}

    # ---- writing

    def pre_save(self, model_instance, add):
        value = super().pre_save(model_instance, add)
        if hasattr(value, "resolve_expression") and not isinstance(value, Encrypt):
            return Encrypt(self, value, self.row_value(model_instance))
        if self.row is not None and value is not None:
            return Encrypt(self, value, self.row_value(model_instance))
        return value

    def get_placeholder(self, value, compiler, connection):
        self.refuse_half_updates(compiler.query)
        is_expression = hasattr(value, "as_sql")
        if value is None or is_expression and is_ciphertext(value, self):
            return "%s"
        value_sql = self.expression_sql("%s") if is_expression else "%s"
        return self.encrypt_sql(value_sql, self.row_sql_of_statement(compiler, connection))

    def get_db_prep_value(self, value, connection, prepared=False):
        if self.is_part:
            raise FieldError("%s would store plaintext: an encrypted field cannot be part of another one" % self)
        if not prepared:
            value = self.get_prep_value(value)
        return None if value is None else self.as_parameter(value, connection)

    def get_db_prep_save(self, value, connection):
        if hasattr(value, "as_sql"):
            return value
        return self.get_db_prep_value(value, connection, prepared=False)

    def as_parameter(self, value, connection):
        return Plaintext(value)

    def check(self, **kwargs):
        from .checks import check_field

        return super().check(**kwargs) + check_field(self)


class TextOnly:
    """For plaintexts that are str: bytes can only be ciphertext that a raw query selected without decrypting it."""

    def get_db_converters(self, connection):
        return [self.refuse_ciphertext] + super().get_db_converters(connection)

    def refuse_ciphertext(self, value, expression, connection):
        if isinstance(value, (bytes, memoryview)):
            decrypted = self.decrypt_sql(self.column, self.row_field and self.row_field.column)
            raise TypeError(
                "%s came as ciphertext: select %s AS %s in the raw query, or leave the column out"
                % (self, decrypted, self.column)
            )
        return value

    def get_prep_value(self, value):
        if isinstance(value, (bytes, bytearray, memoryview)):
            raise TypeError("%s takes text, not bytes" % self)
        return super().get_prep_value(value)


class EncryptedTextField(TextOnly, EncryptedField, models.TextField):
    @property
    def plain_field(self):
        return models.TextField()


class EncryptedCharField(TextOnly, EncryptedField, models.CharField):
    @property
    def plain_field(self):
        return models.CharField(max_length=self.max_length)

    def as_parameter(self, value, connection):
        # The column has no length of its own that the server could compare.
        if self.max_length is not None and len(value) > self.max_length:
            raise DataError("value too long for %s(max_length=%d)" % (self, self.max_length))
        return super().as_parameter(value, connection)


class EncryptedBinaryField(EncryptedField, models.BinaryField):
    plain_type = "bytea"
    decrypt_function = "tp_decrypt_bytea"

    @property
    def plain_field(self):
        return models.BinaryField()

    def as_parameter(self, value, connection):
        return PlainBytes(memoryview(value))


class EncryptedJSONField(TextOnly, EncryptedField, models.JSONField):
    @property
    def plain_field(self):
        return models.JSONField(encoder=self.encoder, decoder=self.decoder)

    def expression_sql(self, sql):
        # Text that is no JSON is refused when it is written: later it would fail each query that sees the row.
        return "CAST(%s AS jsonb)" % sql

    def decrypt_sql(self, column_sql, row_sql=None):
        return "CAST(%s AS jsonb)" % super().decrypt_sql(column_sql, row_sql)

    def get_prep_value(self, value):
        return value

    def as_parameter(self, value, connection):
        # Once encrypted, nobody but Python has seen it: what jsonb would refuse at each read is refused here.
        text = json.dumps(value, cls=self.encoder, ensure_ascii=False, allow_nan=False)
        if "\\u0000" in text.replace("\\\\", ""):
            raise DataError("%s cannot hold a zero byte, as jsonb cannot" % self)
        return super().as_parameter(text, connection)


__all__ = ["Ciphertext", "EncryptedBinaryField", "EncryptedCharField", "EncryptedJSONField", "EncryptedTextField"]
