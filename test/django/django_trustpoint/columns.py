"""What a query sees of an encrypted column: its plaintext, decrypted by the server, and lookups that are refused."""

from django.core.exceptions import FieldError
from django.db import models
from django.db.models.expressions import Col
from django.db.models.fields.json import KeyTransform
from django.db.models.lookups import IsNull


class DecryptedCol(Col):
    """
    The decrypted column, in every place of a query where an ordinary field's column stands: the list of a SELECT,
    values(), F(), annotations, the right-hand side of an update. Its type is that of the plaintext, so that whatever is
    built on it is plaintext too, and is encrypted again where it is stored.
    """

    def __init__(self, alias, target, output_field=None):
        super().__init__(alias, target, target.plain_field)

    def as_sql(self, compiler, connection):
        sql, params = self.raw().as_sql(compiler, connection)
        row_sql = None
        if self.target.row_field is not None:
            column_sql, _ = Col(self.alias, self.target.row_field).as_sql(compiler, connection)
            # On the nullable side of a join there may be no row: then the value is NULL, and so is what it decrypts to.
            row_sql = "coalesce(CAST(%s AS text), '')" % column_sql
        return self.target.decrypt_sql(sql, row_sql), params

    def raw(self):
        """The column as it is stored: ciphertext."""
        return Col(self.alias, self.target, models.BinaryField())

    def get_db_converters(self, connection):
        return self.target.get_db_converters(connection)

    def get_lookup(self, name):
        if name == "isnull":
            return EncryptedIsNull
        if name == "exact":
            return NoneOnly
        raise refusal(self.target, name)

    def get_transform(self, name):
        if not isinstance(self.target.plain_field, models.JSONField):
            raise refusal(self.target, name)
        return lambda *args: DecryptedKeyTransform(name, *args)


class DecryptedKeyTransform(KeyTransform):
    """A path into encrypted JSON: for values() and F(), not for filters."""

    @property
    def target(self):
        return self.source_expressions[0].target

    def get_lookup(self, name):
        raise refusal(self.target, "%s__%s" % (self.key_name, name))

    def get_transform(self, name):
        return lambda *args: DecryptedKeyTransform(name, *args)


class EncryptedIsNull(IsNull):
    """IS NULL needs no key: it looks at the stored column."""

    def as_sql(self, compiler, connection):
        return IsNull(self.lhs.raw(), self.rhs).as_sql(compiler, connection)


class NoneOnly(models.lookups.Exact):
    """field=None, which Django turns into IS NULL; no other value."""

    def __init__(self, lhs, rhs):
        if rhs is not None:
            raise refusal(lhs.target, "exact")
        super().__init__(lhs, rhs)


def refusal(field, lookup):
    indexes = [index.name for index in field.blind_indexes()]
    if indexes:
        way = "Filter by its blind index: %s=... or %s__in=[...]." % (indexes[0], indexes[0])
    else:
        way = "To find rows by equal values, add a BlindIndexField('%s')." % field.name
    return FieldError(
        "%s is encrypted: the lookup '%s' cannot use its stored values. %s To decrypt and compare every row instead, "
        "annotate(plain=TpDecrypt('%s')) and filter by that." % (field, lookup, way, field.name)
    )
