"""Models with every encrypted field, in the relations that ordinary models have."""

import uuid

from django.db import models

from django_trustpoint.blind_index import BlindIndexField
from django_trustpoint.fields import (
    EncryptedBinaryField,
    EncryptedCharField,
    EncryptedJSONField,
    EncryptedTextField,
)


class Site(models.Model):
    name = models.CharField(max_length=50, unique=True)
    note = EncryptedTextField(blank=True, default="")


class Device(models.Model):
    site = models.ForeignKey(Site, on_delete=models.CASCADE, null=True, related_name="devices")
    name = models.CharField(max_length=50, unique=True)
    secret = EncryptedTextField()
    pin = EncryptedCharField(max_length=8, null=True)
    blob = EncryptedBinaryField(null=True)
    config = EncryptedJSONField(null=True)


class Badge(models.Model):
    """Its values are bound to a primary key that the database generates."""

    owner = models.CharField(max_length=50, unique=True)
    code = EncryptedTextField(null=True, row="pk")


class MasterBadge(Badge):
    areas = EncryptedJSONField(row="pk", default=list)


class BadgeView(Badge):
    class Meta:
        proxy = True


class Card(models.Model):
    """Bound to a key of its own, and with a context and a DEK of its own."""

    number = models.UUIDField(primary_key=True, default=uuid.uuid4)
    code = EncryptedTextField(row="number", context=("card's \\ 100%", "code"))
    limit = EncryptedJSONField(row="pk", default=dict)


class Ticket(models.Model):
    """Bound to a field that is not the key."""

    number = models.CharField(max_length=20)
    holder = EncryptedTextField(row="number")
    holder_index = BlindIndexField("holder")
    seats = EncryptedJSONField(row="number", null=True)


class Account(models.Model):
    """Found by encrypted values: one is unique, and bound to its row; the other may be missing."""

    email = EncryptedTextField(row="pk")
    email_index = BlindIndexField("email", unique=True)
    phone = EncryptedCharField(max_length=20, null=True)
    phone_index = BlindIndexField("phone", key="phones")


class Contact(models.Model):
    """Inherited as columns, not as a table."""

    mail = EncryptedTextField(row="pk")
    mail_index = BlindIndexField("mail")

    class Meta:
        abstract = True


class Customer(Contact):
    """On the nullable side of joins."""

    badge = models.ForeignKey(Badge, on_delete=models.SET_NULL, null=True, related_name="customers")


class Document(models.Model):
    """Its values are under a DEK of their own."""

    body = EncryptedTextField(key="documents")


class Person(models.Model):
    name = models.CharField(max_length=50)


class Employee(Person):
    salary = EncryptedTextField(row="pk")
