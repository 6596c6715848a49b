#!/usr/bin/python3
"""Trustpoint's fields and wrapped DEKs by Trustpoint's own rules, without any of this extension's code.

Needs python3-cryptography. All keys in hex; output is one line for each fixture, its parts separated by blanks.

    fields DEK          form, plaintext in hex ("-" when empty), field
    wrapped KEK DEK     form, wrapped DEK in hex
    open DEK < field    the plaintext in hex, or nothing and status 1
"""

import base64
import os
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import keywrap, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

PREFIX = "tpsec:v1:"
AAD = b"trustpoint-app-secrets-v1"
TEXTS = ["", "x", "correct horse battery staple", "Grüße aus Zürich, 世界 🔑", "fifteen bytes .", "sixteen bytes ..",
         "seventeen bytes..", "umlaut ö and blank, " * 500]


def seal(dek, plaintext, aad):
    nonce = os.urandom(12)
    encryptor = Cipher(algorithms.AES(dek), modes.GCM(nonce)).encryptor()
    if aad:
        encryptor.authenticate_additional_data(aad)
    ciphertext = encryptor.update(plaintext) + encryptor.finalize()
    return base64.b64encode(nonce + encryptor.tag + ciphertext).decode("ascii")


def field_today(dek, text):
    return PREFIX + seal(dek, text.encode(), AAD) if text else ""


def field_before(dek, text, pad=None):
    if not text:
        return ""
    pad = os.urandom(1)[0] % 16 if pad is None else pad
    return seal(dek, (text + "\0" * pad + chr(pad)).encode(), b"")


def open_today(dek, field):
    if not field:
        return b""
    if not field.startswith(PREFIX):
        raise ValueError("not today's form")
    payload = base64.b64decode(field[len(PREFIX):], validate=True)
    decryptor = Cipher(algorithms.AES(dek), modes.GCM(payload[:12], payload[12:28])).decryptor()
    decryptor.authenticate_additional_data(AAD)
    return decryptor.update(payload[28:]) + decryptor.finalize()


def cbc(kek, plaintext):
    iv = os.urandom(16)
    encryptor = Cipher(algorithms.AES(kek), modes.CBC(iv)).encryptor()
    return iv + encryptor.update(plaintext) + encryptor.finalize()


def wrapped(kek, dek):
    padder = padding.PKCS7(128).padder()
    ecb = Cipher(algorithms.AES(kek), modes.ECB()).encryptor()
    return {
        "ecb": os.urandom(8) + ecb.update(dek) + ecb.finalize(),
        "cwrap-rfc3394": b"tpsec:pkcs11:cwrap:v1:" + keywrap.aes_key_wrap(kek, dek),
        "cwrap-rfc5649": b"tpsec:pkcs11:cwrap:v1:" + keywrap.aes_key_wrap_with_padding(kek, dek),
        "cwrap-pkcs7": b"tpsec:pkcs11:cwrap:v1:" + keywrap.aes_key_wrap(kek, dek + b"\x08" * 8),
        "enc-cbc-pad": b"tpsec:pkcs11:enc-cbc-pad:v1:" + cbc(kek, padder.update(dek) + padder.finalize()),
        "enc-cbc": b"tpsec:pkcs11:enc-cbc:v1:" + cbc(kek, dek),
    }


def main(command, *keys):
    keys = [bytes.fromhex(key) for key in keys]
    if command == "fields":
        for text in TEXTS:
            shown = text.encode().hex() or "-"
            print("today", shown, field_today(keys[0], text) or "-")
            print("before", shown, field_before(keys[0], text) or "-")
        for pad in range(16):
            print("before", b"padded".hex(), field_before(keys[0], "padded", pad))
    elif command == "wrapped":
        for form, value in wrapped(*keys).items():
            print(form, value.hex())
    elif command == "open":
        try:
            print(open_today(keys[0], sys.stdin.read()).hex())
        except (InvalidTag, ValueError):
            sys.exit(1)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
