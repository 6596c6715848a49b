"""Certificates for devices: cryptography builds them, the token signs them."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from .models import Certificate, Device
from .token_key import TokenKey


def issue(device, request, authority, days=365):
    """A certificate for the key of the request, under the name that we know the device by."""
    issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
    names = [x509.NameAttribute(NameOID.COMMON_NAME, device.name)]
    if device.serial_number:
        names.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, device.serial_number))
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(names))
        .issuer_name(issuer.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(request.public_key()), critical=False)
    )
    key = TokenKey(authority.label, issuer.public_key(), Device.objects.filter(pk=device.pk))
    signed = builder.sign(key, hashes.SHA256())
    return Certificate.objects.create(
        device=device,
        serial_number="%x" % signed.serial_number,
        pem=signed.public_bytes(serialization.Encoding.PEM).decode(),
    )
