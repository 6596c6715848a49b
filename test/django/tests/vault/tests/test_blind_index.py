"""Finding rows by an encrypted value."""

import io
import tempfile

from django.core.exceptions import FieldError
from django.core.management import call_command
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, Subquery, Value
from django.db.models.functions import Concat, Lower
from django.db.utils import IntegrityError
from django.utils.functional import lazystr

from django_trustpoint.expressions import TpCiphertext, TpEncrypt

from ..models import Account, Customer, Device
from .base import FieldTest, ask, stored


class BlindIndexTest(FieldTest):
    def setUp(self):
        self.anna = Account.objects.create(email="anna@example.org", phone="+1")
        self.bert = Account.objects.create(email="bert@example.org")

    def test_exact_and_in(self):
        find = Account.objects.filter
        self.assertEqual(find(email_index="anna@example.org").get(), self.anna)
        self.assertFalse(find(email_index="Anna@example.org").exists())
        self.assertEqual(find(phone_index="+1").get().email, "anna@example.org")
        self.assertEqual(find(email_index__in=["bert@example.org", "x", "anna@example.org", None]).count(), 2)
        self.assertEqual(find(email_index__in=[]).count(), 0)
        self.assertEqual(find(email_index__in=[*map(str, range(20_000)), self.anna.email_index]).get(), self.anna)
        self.assertEqual(find(phone_index=None).get(), self.bert)
        self.assertEqual(find(phone_index__isnull=False).get(), self.anna)
        self.assertEqual(find(~Q(email_index="anna@example.org")).get(), self.bert)
        self.assertEqual(Account.objects.exclude(email_index="anna@example.org").get(), self.bert)
        self.assertEqual(find(email_index=Lower(Value("ANNA@example.org"))).get(), self.anna)
        self.assertEqual(find(email_index=F("email")).count(), 2)

    def test_the_lookup_uses_the_index(self):
        Account.objects.bulk_create([Account(email="%d@example.org" % n) for n in range(300)])
        ask("ANALYZE vault_account")
        ask("SET LOCAL enable_seqscan = off")
        for query in (
            Account.objects.filter(email_index="7@example.org"),
            Account.objects.filter(email_index__in=["7@example.org", "8@example.org"]),
        ):
            plan = query.explain()
            self.assertIn("Index Cond", plan)
            self.assertNotIn("Filter", plan)

    def test_other_lookups(self):
        for lookup in ("contains", "gt", "iexact", "startswith"):
            with self.assertRaisesMessage(FieldError, "equal values"):
                Account.objects.filter(**{"email_index__" + lookup: "a"})
        with self.assertRaisesMessage(FieldError, "email_index=..."):
            Account.objects.filter(email="anna@example.org")
        with self.assertRaises(FieldError):
            Account.objects.filter(email_index__in=Device.objects.values("name"))
        with self.assertRaises(TypeError):
            Account.objects.filter(email_index=b"bytes").exists()

    def test_unique(self):
        with self.assertRaises(IntegrityError), transaction.atomic():
            Account.objects.create(email="anna@example.org")
        self.assertEqual(
            Account(email="anna@example.org")._perform_unique_checks([(Account, ("email_index",))]).keys(),
            {"email_index"},
        )

    def test_declared_in_an_abstract_model(self):
        Customer.objects.create(mail="anna@example.org")
        Customer.objects.bulk_create([Customer(mail="bert@example.org")])
        self.assertEqual(Customer.objects.get(mail_index="anna@example.org").mail, "anna@example.org")
        self.assertEqual(Customer.objects.get(mail_index="bert@example.org").mail, "bert@example.org")
        # The README's way out of another context.
        ask("UPDATE vault_customer SET mail_index = tp_blind_index('x', tp_context('vault', 'contact', 'mail'))")
        Customer.objects.update(mail_index=F("mail"))
        self.assertEqual(Customer.objects.get(mail_index="anna@example.org").mail, "anna@example.org")

    def test_compared_with_a_stored_index(self):
        find = Account.objects.filter
        self.assertEqual(find(email_index=F("email_index")).count(), 2)
        same = find(email_index=OuterRef("email_index"), phone_index="+1")
        self.assertEqual(find(Exists(same)).get(), self.anna)
        of_anna = find(pk=self.anna.pk).values("email_index")[:1]
        self.assertEqual(find(email_index=Subquery(of_anna)).get(), self.anna)
        self.assertEqual(find(email_index__in=[F("email_index"), "x"]).count(), 2)
        with self.assertRaisesMessage(FieldError, "different keys or contexts"):
            find(email_index=F("phone_index")).exists()
        with self.assertRaisesMessage(FieldError, "different keys or contexts"):
            Account.objects.update(phone=F("email"), phone_index=F("email_index"))

    def test_lazy_text(self):
        self.assertEqual(Account.objects.get(email_index=lazystr("anna@example.org")), self.anna)
        self.assertEqual(Account.objects.get(email_index__in=[lazystr("anna@example.org")]), self.anna)
        Account.objects.filter(pk=self.anna.pk).update(phone=lazystr("+2"), phone_index=lazystr("+2"))
        self.assertEqual(Account.objects.get(phone_index="+2").phone, "+2")

    def test_text_that_the_source_does_not_have(self):
        for write in (
            lambda: Account.objects.create(email_index="new@example.org"),
            lambda: Account.objects.get_or_create(email_index="new@example.org"),
            lambda: Account.objects.update_or_create(email_index="new@example.org", defaults={"phone": "+1"}),
            lambda: Account.objects.bulk_create([Account(email="a", email_index="b")]),
        ):
            with self.assertRaisesMessage(ValueError, "follows 'email'"), transaction.atomic():
                write()
        account = Account.objects.create(email="new@example.org", email_index="new@example.org")
        account.email = "newer@example.org"
        account.save()
        self.assertEqual(Account.objects.get(email_index="newer@example.org"), account)

    def test_ciphertext_is_not_hashed(self):
        sealed = TpEncrypt("+3", context=["vault", "account", "phone"])
        for write in (
            lambda: Account.objects.create(email="e", phone=sealed),
            lambda: Account.objects.update(phone=sealed, phone_index=sealed),
            lambda: Account.objects.update(phone_index=TpCiphertext("phone")),
            lambda: Account.objects.filter(phone_index=TpCiphertext("phone")).exists(),
        ):
            with self.assertRaisesMessage(FieldError, "encrypted already"), transaction.atomic():
                write()
        Account.objects.filter(pk=self.anna.pk).update(phone=sealed, phone_index="+3")
        self.assertEqual(Account.objects.get(phone_index="+3").phone, "+3")

    def test_every_way_to_write_keeps_it(self):
        self.anna.email = "new@example.org"
        self.anna.save()
        self.assertEqual(Account.objects.get(email_index="new@example.org"), self.anna)
        Account.objects.bulk_create([Account(email="bulk@example.org")])
        bulk = Account.objects.get(email_index="bulk@example.org")
        bulk.email = "bulk2@example.org"
        Account.objects.bulk_update([bulk], ["email", "email_index"])
        self.assertEqual(Account.objects.get(email_index="bulk2@example.org").email, "bulk2@example.org")
        Account.objects.update_or_create(pk=bulk.pk, defaults={"email": "bulk3@example.org"})
        self.assertEqual(Account.objects.get(email_index="bulk3@example.org").email, "bulk3@example.org")
        Account.objects.filter(pk=bulk.pk).update(email="u@example.org", email_index="u@example.org")
        self.assertEqual(Account.objects.get(email_index="u@example.org").email, "u@example.org")
        Account.objects.filter(pk=bulk.pk).update(phone=F("email"), phone_index=F("email"))
        self.assertEqual(Account.objects.get(phone_index="u@example.org").phone, "u@example.org")
        longer = Concat("email", Value("+"))
        Account.objects.filter(pk=bulk.pk).update(phone=longer, phone_index=longer)
        self.assertEqual(Account.objects.get(phone_index="u@example.org+").phone, "u@example.org+")
        Account.objects.filter(pk=bulk.pk).update(phone=None, phone_index=None)
        self.assertIsNone(stored(bulk, "phone_index"))

    def test_get_or_create_by_the_encrypted_value(self):
        for expected in (True, False):
            account, created = Account.objects.get_or_create(
                email_index="new@example.org", defaults={"email": "new@example.org"}
            )
            self.assertEqual((account.email, created), ("new@example.org", expected))
        account, created = Account.objects.update_or_create(
            email_index="new@example.org", defaults={"email": "new@example.org", "phone": "+3"}
        )
        self.assertEqual((Account.objects.get(phone_index="+3").email, created), ("new@example.org", False))

    def test_deferred(self):
        before = stored(self.anna, "email_index")
        for number, query in enumerate(
            (Account.objects.defer("email"), Account.objects.only("phone", "phone_index"), Account.objects.all())
        ):
            account = query.get(pk=self.anna.pk)
            account.phone = str(number)
            account.save()
            self.assertEqual(stored(self.anna, "email_index"), before)
            self.assertEqual(Account.objects.get(phone_index=str(number)).email, "anna@example.org")
        # It would write the value and not the index: nobody knows whether it has changed.
        account = Account.objects.defer("email_index").get(pk=self.anna.pk)
        with self.assertRaises(FieldError), transaction.atomic():
            account.save()
        account.save(update_fields=["phone", "phone_index"])

    def test_a_deferred_value_that_was_read(self):
        for query in (Account.objects.only("pk"), Account.objects.defer("email", "email_index")):
            account = query.get(pk=self.anna.pk)
            with self.assertNumQueries(1):
                before = account.email
            account.save()
            self.assertEqual(Account.objects.get(email_index=before), account)
            del account.email  # Django's way to have it loaded again
            account.save()
            self.assertEqual(Account.objects.get(email_index=before), account)
            account.email = "x" + before
            account.save()
            self.assertEqual(Account.objects.get(email_index="x" + before), account)

    def test_a_deferred_value_that_has_changed(self):
        """By the object itself before it dropped the value, and by another while it had the index alone."""
        account = Account.objects.get(pk=self.anna.pk)
        other = Account.objects.defer("email").get(pk=self.anna.pk)
        account.email = "new@example.org"
        account.save()
        del account.email
        for number, holder in enumerate((account, other)):
            holder.phone = "+%d" % number
            holder.save()
            self.assertEqual(Account.objects.get(email_index="new@example.org").phone, holder.phone)
            self.assertFalse(Account.objects.filter(email_index="anna@example.org").exists())

    def test_what_would_leave_it_behind(self):
        with self.assertRaisesMessage(FieldError, "name 'email_index' too"), transaction.atomic():
            Account.objects.update(email="x")
        with self.assertRaises(FieldError), transaction.atomic():
            Account.objects.bulk_update([self.anna], ["email"])
        self.anna.email = "x"
        with self.assertRaises(FieldError), transaction.atomic():
            self.anna.save(update_fields=["email"])
        self.anna.save(update_fields=["email", "email_index"])
        self.assertEqual(Account.objects.get(email_index="x"), self.anna)

    def test_what_would_run_ahead_of_its_value(self):
        self.anna.email = "new@example.org"
        for write in (
            lambda: self.anna.save(update_fields=["email_index"]),
            lambda: Account.objects.bulk_update(Account.objects.defer("email"), ["email_index"]),
            lambda: Account.objects.bulk_update([self.anna], ["email_index"]),
            lambda: Account.objects.update(phone_index="x"),
            lambda: Account.objects.update(phone="x", phone_index="y"),
            lambda: Account.objects.update(phone="x", phone_index=None),
            lambda: Account.objects.update(phone=None, phone_index="y"),
            lambda: Account.objects.update(phone="x", phone_index=F("phone")),
            lambda: Account.objects.update(phone="x", phone_index=self.bert.phone_index),
        ):
            with self.assertRaisesMessage(FieldError, "would be of another text"), transaction.atomic():
                write()
        Account.objects.update(phone=Value("x"), phone_index="x")
        self.assertEqual(Account.objects.filter(phone_index="x").count(), 2)
        Account.objects.update(phone_index=None)
        Account.objects.update(phone_index=F("phone"))
        self.assertEqual(Account.objects.filter(phone_index="x").count(), 2)
        self.assertEqual(Account.objects.get(email_index="anna@example.org"), self.anna)

    def test_fixtures_bring_no_hash_and_make_their_own(self):
        output = io.StringIO()
        call_command("dumpdata", "vault.account", stdout=output)
        self.assertNotIn("email_index", output.getvalue())
        Account.objects.all().delete()
        with tempfile.NamedTemporaryFile("w", suffix=".json") as fixture:
            fixture.write(output.getvalue())
            fixture.flush()
            call_command("loaddata", fixture.name, verbosity=0)
        self.assertEqual(Account.objects.get(email_index="anna@example.org").phone, "+1")
        self.assertEqual(Account.objects.get(phone_index="+1").email, "anna@example.org")

    def test_rotation(self):
        before = stored(self.anna, "email_index")
        ask("SELECT tp_rotate_dek('default', 'index')")
        self.assertEqual(Account.objects.get(email_index="anna@example.org"), self.anna)
        Account.objects.update(email_index=F("email"))
        self.assertNotEqual(stored(self.anna, "email_index"), before)
        self.assertEqual(Account.objects.get(email_index="anna@example.org"), self.anna)

    def test_raw_sql_with_the_documented_context(self):
        self.assertEqual(
            ask(
                "SELECT email_index = tp_blind_index('anna@example.org', tp_context('vault', 'account', 'email')) FROM vault_account WHERE id = %s",
                [self.anna.pk],
            ),
            [(True,)],
        )
