"""How a blind index finds rows: by a text's hashes under every usable version of its key, so from before a rotation too."""

from django.core.exceptions import EmptyResultSet, FieldError
from django.db.models.lookups import IsNull, Lookup

from .blind_index import BlindIndex, is_hash, is_text, plain_sql, refuse_other_hashes


class IndexLookup(Lookup):
    prepare_rhs = False

    def as_sql(self, compiler, connection):
        sql, params = self.process_lhs(compiler, connection)
        arrays, params = [], list(params)
        for array, array_params in self.arrays(compiler, connection):
            arrays.append(array)
            params.extend(array_params)
        if not arrays:
            raise EmptyResultSet
        return "%s = ANY(%s)" % (sql, " || ".join(arrays)), params

    def arrays(self, compiler, connection):
        """SQL of arrays of hashes, each with its parameters."""
        raise NotImplementedError

    def array_of(self, value, compiler, connection):
        field = self.lhs.output_field
        if is_hash(value):
            refuse_other_hashes(field, value)
            sql, params = compiler.compile(value)
            return "ARRAY[%s]" % sql, params
        if not is_text(value) and not hasattr(value, "as_sql"):
            raise TypeError("%s is found by text, not by %s" % (field, type(value).__name__))
        sql, params = plain_sql(field, value, compiler, connection)
        return field.call_sql("tp_blind_index_candidates", sql), params


class IndexExact(IndexLookup):
    lookup_name = "exact"

    def arrays(self, compiler, connection):
        return [self.array_of(plain(self.rhs), compiler, connection)]


class IndexIn(IndexLookup):
    lookup_name = "in"

    def __init__(self, lhs, rhs):
        if hasattr(rhs, "resolve_expression") or hasattr(rhs, "as_sql"):
            raise FieldError("%s__in takes a list of texts, not a query" % lhs.output_field.name)
        super().__init__(lhs, list(rhs))

    def arrays(self, compiler, connection):
        field = self.lhs.output_field
        values = dict.fromkeys(plain(value) for value in self.rhs if value is not None)
        texts = [field.source_field.get_db_prep_save(value, connection) for value in values if is_text(value)]
        if texts:
            # One parameter: a call for each of some thousands is an expression too deep for the server.
            call = field.call_sql("tp_blind_index_candidates", "plain")
            yield "ARRAY(SELECT unnest(%s) FROM unnest(CAST(%%s AS text[])) AS plain)" % call, [texts]
        for value in values:
            if not is_text(value):
                yield self.array_of(value, compiler, connection)


def plain(value):
    """The text, or the expression, of what an object has as its index."""
    return value.value if isinstance(value, BlindIndex) else value


LOOKUPS = {"exact": IndexExact, "in": IndexIn, "isnull": IsNull}
