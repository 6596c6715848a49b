"""A private key of the token as Python's cryptography wants one, so that its builders can sign with it."""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from django.db.models import Value

from django_trustpoint.expressions import TpSign


class TokenKey(ec.EllipticCurvePrivateKey):
    """
    Signs what it is given by tp_sign: the key never leaves the token. An expression needs a row to stand in; the row is the
    one that the certificate is about.
    """

    def __init__(self, label, public_key, row):
        self.label, self._public_key, self.row = label, public_key, row

    def sign(self, data, signature_algorithm):
        if not isinstance(signature_algorithm.algorithm, hashes.SHA256):
            raise ValueError("this key signs SHA-256")
        signature = TpSign(self.label, Value(bytes(data)), "ecdsa-sha256")
        return bytes(self.row.values_list(signature, flat=True).get())

    def public_key(self):
        return self._public_key

    @property
    def curve(self):
        return self._public_key.curve

    @property
    def key_size(self):
        return self._public_key.key_size

    def exchange(self, algorithm, peer_public_key):
        raise NotImplementedError("a key of the token only signs")

    def private_numbers(self):
        raise NotImplementedError("a key of the token does not leave it")

    def private_bytes(self, encoding, format, encryption_algorithm):
        raise NotImplementedError("a key of the token does not leave it")

    # cryptography 44 and newer ask for these.
    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self
