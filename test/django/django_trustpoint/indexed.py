"""What is unique by a blind index: forms ask the encrypted field, as the index is none of their own fields."""

from django.core.validators import EMPTY_VALUES


class Indexed:
    """The part of EncryptedField that knows its blind indexes."""

    def blind_indexes(self):
        return [
            field for field in self.model._meta.local_concrete_fields if getattr(field, "source", None) == self.name
        ]

    def unique_indexes(self):
        """Names of fields that are unique together, with a blind index of this one among them."""
        meta = self.model._meta
        together = [*meta.unique_together, *(constraint.fields for constraint in meta.total_unique_constraints)]
        for index in self.blind_indexes():
            yield from ([(index.name,)] if index.unique else [])
            yield from (tuple(names) for names in together if index.name in names)

    def check_unique_indexes(self, instance):
        for names in self.unique_indexes():
            if instance._perform_unique_checks([(self.model, names)]):
                sources = [getattr(self.model._meta.get_field(name), "source", name) for name in names]
                raise instance.unique_error_message(self.model, sources)

    @property
    def empty_values(self):
        """A blank text may be in another row already: Django cleans no value that is one of these."""
        return [None] if self.blank and any(self.unique_indexes()) else EMPTY_VALUES

    def clean(self, value, model_instance):
        if not self.blank or value not in EMPTY_VALUES:
            value = super().clean(value, model_instance)
        if model_instance is not None:
            self.check_unique_indexes(model_instance)
        return value
