"""The pieces of SQL that the rest is made of, and the types that carry a plaintext to them."""


def text_of(value):
    """The text that a str holds: an Enum of str calls itself something else."""
    return str.__str__(value) if isinstance(value, str) else str(value)


def literal(text):
    """A string constant. It may pass through `%` formatting several times, so it holds no percent sign."""
    if "\0" in text:
        raise ValueError("a context cannot hold a zero byte")
    return "E'%s'" % text.replace("\\", "\\\\").replace("'", "''").replace("%", "\\x25")


def context_sql(parts, row_sql=None):
    """
    tp_context of these parts and, last, of a column of the row. Without one it is a constant, which is made here: in the
    first query of a connection PostgreSQL would look the function up.
    """
    if row_sql is None:
        return literal("".join("%d:%s" % (len(part.encode()), text_of(part)) for part in parts))
    arguments = [literal(part) for part in parts] + ["CAST(%s AS text)" % row_sql]
    return "tp_context(%s)" % ", ".join(arguments)


class Plaintext(str):
    """A parameter of a statement. What shows a repr (query logs, pages for errors) does not show it."""

    __slots__ = ()

    def __new__(cls, value):
        return super().__new__(cls, text_of(value))

    def __repr__(self):
        return "<plaintext>"


class PlainBytes(bytes):
    """The same for bytes; psycopg 3's own Binary shows how they begin."""

    def __repr__(self):
        return "<plaintext>"
