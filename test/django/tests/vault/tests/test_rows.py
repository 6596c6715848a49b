"""Values that are bound to their row."""

from django.core import serializers
from django.core.exceptions import FieldError
from django.db import DataError, connection, models, transaction
from django.db.models import F, Max, Value
from django.db.models.functions import Lower
from django.test.utils import isolate_apps

from django_trustpoint.expressions import TpDecrypt
from django_trustpoint.fields import EncryptedTextField

from ..models import Badge, BadgeView, Card, Customer, Employee, MasterBadge, Person, Ticket
from .base import FieldTest, ask


class RowTest(FieldTest):
    def test_a_generated_key_is_part_of_the_context(self):
        badge = Badge(owner="a", code="one")
        badge.save()
        self.assertEqual(
            ask("SELECT tp_decrypt(code, tp_context('vault', 'badge', 'code', id::text)), id FROM vault_badge"),
            [("one", badge.pk)],
        )
        badge.code = "two"
        badge.save()
        self.assertEqual(Badge.objects.get().code, "two")
        self.assertEqual(Badge.objects.values_list("code", flat=True).get(), "two")

    def test_keys_go_on_after_those_that_were_drawn(self):
        keys = [Badge.objects.create(owner="a", code="1").pk]
        keys += [badge.pk for badge in Badge.objects.bulk_create([Badge(owner=str(n), code=str(n)) for n in range(5)])]
        ask("INSERT INTO vault_badge (owner) VALUES ('raw')")
        keys += [Badge.objects.get(owner="raw").pk, Badge.objects.create(owner="last").pk]
        self.assertEqual(keys, list(range(keys[0], keys[0] + 8)))
        self.assertEqual(
            [b.code for b in Badge.objects.filter(pk__in=keys[1:6]).order_by("pk")], [str(n) for n in range(5)]
        )

    def test_a_value_moved_to_another_row_does_not_decrypt(self):
        one, two = (Badge.objects.create(owner=name, code=name) for name in "ab")
        ask(
            "UPDATE vault_badge SET code = (SELECT code FROM vault_badge WHERE id = %s) WHERE id = %s", [one.pk, two.pk]
        )
        with self.assertRaisesMessage(DataError, "authentic"):
            two.refresh_from_db()

    def test_updates_use_the_column(self):
        Badge.objects.bulk_create([Badge(owner=str(n), code=None) for n in range(3)])
        Badge.objects.update(code="same")
        self.assertEqual([b.code for b in Badge.objects.all()], ["same"] * 3)
        badges = list(Badge.objects.all())
        for badge in badges:
            badge.code = "code of %d" % badge.pk
        Badge.objects.bulk_update(badges, ["code"])
        self.assertEqual([b.code for b in Badge.objects.order_by("pk")], ["code of %d" % b.pk for b in badges])
        Badge.objects.update_or_create(owner="0", defaults={"code": "upd"})
        self.assertEqual(Badge.objects.get(owner="0").code, "upd")

    def test_uuid_and_json(self):
        card = Card.objects.create(code="one", limit={"eur": 5})
        Card.objects.update(limit={"eur": 6})
        loaded = Card.objects.get()
        self.assertEqual((loaded.pk, loaded.code, loaded.limit), (card.pk, "one", {"eur": 6}))
        Card.objects.bulk_create([Card(code=str(n)) for n in range(3)])
        self.assertEqual({c.code for c in Card.objects.all()}, {"one", "0", "1", "2"})

    def test_inherited_table(self):
        Employee.objects.create(name="e", salary="1000")
        employee = Employee.objects.get()
        self.assertEqual((employee.name, employee.salary), ("e", "1000"))
        employee.salary = "2000"
        employee.save()
        self.assertEqual(Employee.objects.get().salary, "2000")

    def test_children_and_proxies_of_a_model_with_a_generated_key(self):
        MasterBadge.objects.create(owner="m", code="one", areas=["a"])
        BadgeView.objects.create(owner="p", code="two")
        master = MasterBadge.objects.get()
        self.assertEqual((master.code, master.areas), ("one", ["a"]))
        master.code, master.areas = "three", ["b"]
        master.save()
        self.assertEqual(Badge.objects.get(masterbadge__isnull=False).code, "three")
        self.assertEqual((MasterBadge.objects.get().code, MasterBadge.objects.get().areas), ("three", ["b"]))
        self.assertEqual(BadgeView.objects.get(owner="p").code, "two")
        MasterBadge.objects.update(code="four", areas=["c"])
        self.assertEqual((MasterBadge.objects.get().code, MasterBadge.objects.get().areas), ("four", ["c"]))
        badge = Badge.objects.create(owner="b")
        MasterBadge(badge_ptr_id=badge.pk, owner="b", code="five").save()
        self.assertEqual(Badge.objects.get(owner="b").masterbadge.code, "five")

    def test_outer_joins(self):
        badge = Badge.objects.create(owner="a", code="one")
        Customer.objects.create(mail="with", badge=badge)
        Customer.objects.create(mail="without")
        Person.objects.create(name="no employee")
        Employee.objects.create(name="employee", salary="1000")
        customers = Customer.objects.order_by("badge", "pk")
        self.assertEqual([c.badge and c.badge.code for c in customers.select_related("badge")], ["one", None])
        for query in (
            customers.values_list("badge__code", flat=True),
            customers.annotate(x=F("badge__code")).values_list("x", flat=True),
            customers.annotate(x=TpDecrypt("badge__code")).values_list("x", flat=True),
            customers.order_by("badge__code").values_list("badge__code", flat=True),
        ):
            self.assertEqual(list(query), ["one", None])
        self.assertEqual(customers.annotate(x=TpDecrypt("badge__code")).get(x="one").mail, "with")
        people = Person.objects.select_related("employee").order_by("name")
        self.assertEqual([getattr(p, "employee", None) and p.employee.salary for p in people], ["1000", None])
        Badge.objects.create(owner="b")
        self.assertEqual(
            list(Badge.objects.annotate(m=Max("customers__mail")).order_by("owner").values_list("m", flat=True)),
            ["with", None],
        )

    def test_a_row_that_is_not_saved_is_that_of_the_table(self):
        ticket = Ticket.objects.create(number="1", holder="one", seats=[1])
        older = Ticket.objects.get()
        ticket.number, ticket.holder = "2", "two"
        ticket.save(update_fields=["holder", "holder_index"])
        self.assertEqual(Ticket.objects.values_list("number", "holder").get(), ("1", "two"))
        ticket.save()
        older.seats = [5]
        older.save(update_fields=["seats"])
        self.assertEqual(Ticket.objects.values_list("number", "holder", "seats").get(), ("2", "two", [5]))

    def test_a_row_that_is_saved_without_what_is_bound_to_it(self):
        Ticket.objects.create(number="1", holder="one", seats=[1])
        ticket = Ticket.objects.defer("seats").get()
        ticket.save()
        ticket.save(update_fields=["number"])
        ticket.number = "2"
        for options in ({}, {"update_fields": ["number"]}, {"update_fields": ["number", "holder", "holder_index"]}):
            with self.assertRaisesMessage(FieldError, "save it too"), transaction.atomic():
                ticket.save(**options)
        self.assertEqual(ticket.seats, [1])
        ticket.save()
        self.assertEqual(Ticket.objects.values_list("number", "holder", "seats").get(), ("2", "one", [1]))
        # A missing value is bound to nothing.
        Ticket.objects.update(seats=None)
        ticket.number = "3"
        ticket.save(update_fields=["number", "holder", "holder_index"])
        self.assertEqual(Ticket.objects.values_list("number", "holder", "seats").get(), ("3", "one", None))

    def test_a_row_that_is_an_expression(self):
        ticket = Ticket.objects.create(number="1", holder="one")
        ticket.number = F("id")
        for write in (
            ticket.save,
            lambda: Ticket.objects.create(number=Lower(Value("A")), holder="two"),
            lambda: Ticket.objects.bulk_create([Ticket(number=Lower(Value("A")), holder="two")]),
        ):
            with self.assertRaisesMessage(FieldError, "not an expression"), transaction.atomic():
                write()
        self.assertEqual(Ticket.objects.values_list("number", "holder").get(), ("1", "one"))

    @isolate_apps("vault")
    def test_a_row_that_its_field_fills_in_when_it_is_saved(self):
        class SlugField(models.CharField):
            def pre_save(self, instance, add):
                instance.slug = instance.slug or "filled in"
                return instance.slug

        class Page(models.Model):
            secret = EncryptedTextField(row="slug")
            slug = SlugField(max_length=20)

            class Meta:
                app_label = "vault"

        with connection.schema_editor() as editor:
            editor.create_model(Page)
        page = Page.objects.create(secret="one")
        self.assertEqual(Page.objects.values_list("slug", "secret").get(), ("filled in", "one"))
        page.slug = ""
        page.save()
        self.assertEqual(Page.objects.get().secret, "one")

    def test_one_update_does_not_change_the_row_and_the_value(self):
        Card.objects.create(code="one")
        with self.assertRaisesMessage(FieldError, "cannot change both"), transaction.atomic():
            Card.objects.update(number="5f0c6ad2-6f0e-4f5c-b7ae-2f5de3dd6b6e", code="two")
        Ticket.objects.create(number="1", holder="h", seats=[1])
        for values in ({"holder": "h"}, {"holder": F("number"), "seats": None}):
            with self.assertRaisesMessage(FieldError, "cannot change both"), transaction.atomic():
                Ticket.objects.update(number="2", holder_index="h", **values)

    def test_one_update_changes_the_row_and_all_that_is_bound_to_it(self):
        for seats in ([2], None):
            Ticket.objects.create(number="1", holder="h", seats=[1])
            Ticket.objects.update(number="it's \\ 100%", holder="new", holder_index="new", seats=seats)
            ticket = Ticket.objects.get(holder_index="new")
            self.assertEqual((ticket.number, ticket.holder, ticket.seats), ("it's \\ 100%", "new", seats))
            ticket.delete()

    def test_fixtures_of_a_row_that_is_not_the_key(self):
        ticket = Ticket.objects.create(number="1", holder="one", seats=[1])
        Ticket.objects.create(number="007", holder="seven")
        data = serializers.serialize("json", Ticket.objects.all())
        # Without the row, with it under another number, with it as it is.
        for prepare in (Ticket.objects.all().delete, lambda: self.renumber(ticket.pk), lambda: None):
            prepare()
            for item in serializers.deserialize("json", data):
                item.save()
            self.assertEqual(
                list(Ticket.objects.order_by("pk").values_list("number", "holder", "seats")),
                [("1", "one", [1]), ("007", "seven", None)],
            )
            self.assertEqual(Ticket.objects.get(holder_index="one").pk, ticket.pk)

    def renumber(self, pk):
        ticket = Ticket.objects.get(pk=pk)
        ticket.number, ticket.holder = "2", "two"
        ticket.save()


class DatabasesTest(FieldTest):
    databases = {"default", "other"}

    def test_keys_are_drawn_where_the_row_is_written(self):
        for number in range(3):
            Badge.objects.create(owner=str(number), code="here")
        badge = Badge(owner="a", code="there")
        badge.save(using="other")
        self.assertEqual(Badge.objects.using("other").get(owner="a").code, "there")
        self.assertLess(badge.pk, Badge.objects.get(owner="2").pk)
        # Once it is saved, the key is a value as any other.
        badge.save(using="default", force_insert=True)
        self.assertEqual(Badge.objects.get(owner="a").code, "there")

    def test_keys_of_children_and_proxies_too(self):
        for model in (BadgeView, MasterBadge):
            there = model(owner=model.__name__, code="there")
            there.save(using="other")
            self.assertEqual(model.objects.using("other").get().code, "there")
            Badge.objects.using("other").all().delete()

    def test_a_key_drawn_elsewhere_is_refused(self):
        with self.assertRaisesMessage(ValueError, "drawn from the database 'default'"), transaction.atomic("other"):
            Badge.objects.using("other").bulk_create([Badge(owner="b", code="c")])
        badge = Badge(pk=7, owner="b", code="c")
        Badge.objects.using("other").bulk_create([badge])
        self.assertEqual(Badge.objects.using("other").get().code, "c")
