from django.db import models

from django_trustpoint.blind_index import BlindIndexField
from django_trustpoint.fields import EncryptedTextField


class Device(models.Model):
    name = models.CharField(max_length=60, unique=True)
    serial_number = models.CharField(max_length=40, blank=True)
    # Bound to its row: put into another one it does not decrypt.
    secret = EncryptedTextField(row="pk", help_text="What the device shows to enrol, for example a one-time password.")
    secret_index = BlindIndexField("secret", unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name


class Certificate(models.Model):
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="certificates")
    serial_number = models.CharField(max_length=40)
    pem = models.TextField()
    issued_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-issued_at"]


class Authority(models.Model):
    """A CA whose private key is in the token, under this label."""

    label = models.CharField(max_length=60, unique=True)
    certificate = models.TextField()
