"""Expressions over the functions of the extension, for queries without raw SQL."""

from django.core.exceptions import FieldError
from django.db import models
from django.db.models import Case, ExpressionWrapper, F, Func, Subquery, Value
from django.db.models.expressions import Expression
from django.db.models.functions import Cast, Coalesce
from django.db.models.sql import Query

from .columns import DecryptedCol
from .sql import Plaintext


class Ciphertext(models.BinaryField):
    """The type of what is encrypted already: an encrypted field stores it as it is."""


def is_ciphertext(expression, target):
    """
    Whether an expression gives what an encrypted field, the target, stores as it is. The expression's type alone does not
    tell: Django gives what is built on a column the type of the model's field, though the query sees the column decrypted.
    """
    kinds = set(kinds_of(expression))
    if len(kinds) > 1:
        raise FieldError(
            "%s cannot tell whether this expression is encrypted already: it must be so in every part or in none, and"
            " bulk_update() takes values alone. Give ordinary types (output_field) to what is plaintext, Ciphertext() to"
            " the rest." % target
        )
    return kinds == {True}


def kinds_of(expression):
    """For each part that an expression may have its value from: is it ciphertext?"""
    from .fields import EncryptedField

    output_field = type_of(expression)
    sealed, encrypted = isinstance(output_field, Ciphertext), isinstance(output_field, EncryptedField)
    if isinstance(expression, Value):
        # One of an encrypted field, as bulk_update() makes them, becomes a call of tp_encrypt. NULL is both.
        if sealed or encrypted or expression.value is not None:
            yield sealed or encrypted
    elif isinstance(expression, (Case, Coalesce)) or encrypted and isinstance(expression, (Cast, ExpressionWrapper)):
        for part in parts_of(expression):
            yield from kinds_of(part)
        # What is cast is bytes by now, and plaintext no more.
        if sealed or isinstance(expression, Cast):
            yield True
    elif isinstance(expression, (Subquery, Query)) or output_field is not None and not encrypted:
        yield sealed
    else:
        # A function has this type from its arguments, or was given it: raw SQL says nothing else.
        yield False
        parts = parts_of(expression)
        for part in parts:
            yield from kinds_of(part)
        if encrypted and not parts:
            yield True


def type_of(expression):
    """The type of what it gives, where Django can tell: not that of Concat("secret", Value("x")), of two types."""
    try:
        return getattr(expression, "_output_field_or_none", None)
    except FieldError:
        return None


def parts_of(expression):
    parts = [part for part in expression.get_source_expressions() if part is not None]
    return [getattr(part, "result", part) for part in parts]  # of a When


class Parameter(Expression):
    """A value of a field as a parameter of a statement; its repr does not show it."""

    def __init__(self, field, value):
        super().__init__(output_field=field.plain_field)
        self.target, self.value = field, value

    def __repr__(self):
        return "<plaintext of %s>" % self.target

    def as_sql(self, compiler, connection):
        return "%s", [self.target.get_db_prep_save(self.value, connection)]

    def get_group_by_cols(self, *args, **kwargs):
        return []


class Encrypt(Expression):
    """What an encrypted field writes where its placeholder is not enough: other expressions, and values bound to a row."""

    def __init__(self, field, value, row_value=None):
        super().__init__(output_field=Ciphertext())
        self.target, self.row_value = field, row_value
        self.value = value if hasattr(value, "resolve_expression") else Parameter(field, value)

    def __repr__(self):
        return "<ciphertext of %s>" % self.target

    def get_source_expressions(self):
        return [self.value]

    def set_source_expressions(self, expressions):
        (self.value,) = expressions

    def as_sql(self, compiler, connection):
        self.target.refuse_half_updates(compiler.query)
        sql, params = compiler.compile(self.value)
        if is_ciphertext(self.value, self.target):
            return sql, params
        if not isinstance(self.value, Parameter):
            sql = self.target.expression_sql(sql)
        row_sql, row_params = self.row_value.as_sql(compiler.query, connection) if self.row_value else (None, [])
        return self.target.encrypt_sql(sql, row_sql), [*params, *row_params]


def context_of(parts):
    """Parts of a context: text as it is, anything else an expression."""
    return Func(
        *(
            Func(Value(part) if isinstance(part, str) else part, template="CAST(%(expressions)s AS text)")
            for part in parts
        ),
        function="tp_context",
        output_field=models.TextField(),
    )


class Hidden(Value):
    """A plaintext that comes without a field; its repr does not show it."""

    def __repr__(self):
        return "<plaintext>"


def hidden(value):
    if isinstance(value, str):
        value = Plaintext(value)
    return value if hasattr(value, "resolve_expression") else Hidden(value)


class TpEncrypt(Func):
    """
    tp_encrypt of a value, an expression or F(): TpEncrypt("text", context=["shop", "note", F("id")], key="default").
    Text is a value here, not the name of a field. bytes and binary expressions are encrypted as bytes.
    """

    function = "tp_encrypt"

    def __init__(self, value, context=(), key="default", **extra):
        binary = isinstance(value, (bytes, bytearray, memoryview)) or extra.pop("binary", False)
        kind = "bytea" if binary else "text"
        value = Func(hidden(value), template="CAST(%%(expressions)s AS %s)" % kind)
        super().__init__(
            value, context_of(context) if context else Value(""), Value(key), output_field=Ciphertext(), **extra
        )


class TpDecrypt(Func):
    """
    The plaintext of an encrypted field, or of a plain binary column that holds a value of tp_encrypt, then with its context.
    Filters and transforms on it work, and decrypt every row that they look at.
    """

    function = "tp_decrypt"

    def __init__(self, expression, context=(), binary=False, **extra):
        self.binary = binary
        super().__init__(expression, context_of(context) if context else Value(""), **extra)
        self.function = "tp_decrypt_bytea" if binary else "tp_decrypt"

    def resolve_expression(self, *args, **kwargs):
        resolved = super().resolve_expression(*args, **kwargs)
        column = resolved.source_expressions[0]
        if isinstance(column, DecryptedCol):
            return Decrypted(column)
        return resolved

    def _resolve_output_field(self):
        return models.BinaryField() if self.binary else models.TextField()


class Decrypted(Func):
    """A decrypted column that may be filtered by."""

    template = "%(expressions)s"

    def _resolve_output_field(self):
        return self.source_expressions[0].target.plain_field


class TpCiphertext(Func):
    """The stored bytes of an encrypted field: TpCiphertext("secret")."""

    template = "%(expressions)s"

    def __init__(self, expression, **extra):
        super().__init__(expression, output_field=Ciphertext(), **extra)

    def resolve_expression(self, *args, **kwargs):
        resolved = super().resolve_expression(*args, **kwargs)
        column = resolved.source_expressions[0]
        if isinstance(column, DecryptedCol):
            resolved.set_source_expressions([column.raw()])
        return resolved


class TpSign(Func):
    """tp_sign: a signature of bytes (a value, or an expression) by the key of that label in the token."""

    function = "tp_sign"
    output_field = models.BinaryField()

    def __init__(self, label, data, algorithm=None, **extra):
        data = F(data) if isinstance(data, str) else data
        super().__init__(
            Value(label) if isinstance(label, str) else label,
            Func(data, template="CAST(%(expressions)s AS bytea)"),
            Func(Value(algorithm), template="CAST(%(expressions)s AS text)"),
            **extra,
        )
