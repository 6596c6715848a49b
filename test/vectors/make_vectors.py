#!/usr/bin/python3
"""Makes vectors.txt: fixed values of trustpoint's formats, computed without any of its C++ code.

Needs Debian's python3-cryptography (38 or later). Usage: make_vectors.py > vectors.txt

A record is a run of "field = hex" lines that starts with its kind; numbers are big-endian hex like all else.
"""

import base64
import struct

from cryptography.hazmat.primitives import cmac, hashes, hmac, keywrap
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

XAES, AES = 0xE1, 0xE2
PURPOSES = {"data": 1, "index": 2, "tpsec": 3}


def hkdf(key, info):
    return HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(key)


def hmac_sha256(key, data):
    code = hmac.HMAC(key, hashes.SHA256())
    code.update(data)
    return code.finalize()


def sha256(data):
    digest = hashes.Hash(hashes.SHA256())
    digest.update(data)
    return digest.finalize()


def cmac_aes(key, block):
    code = cmac.CMAC(algorithms.AES(key))
    code.update(block)
    return code.finalize()


def xaes_seal(key, nonce, plaintext, aad):
    derived = b"".join(cmac_aes(key, bytes([0, i]) + b"X\0" + nonce[:12]) for i in (1, 2))
    return AESGCM(derived).encrypt(nonce[12:], plaintext, aad)


def check_xaes():
    """The published vectors of C2SP, so that what follows rests on the specification."""
    nonce, plaintext = b"ABCDEFGHIJKLMNOPQRSTUVWX", b"XAES-256-GCM"
    assert xaes_seal(b"\1" * 32, nonce, plaintext, b"").hex() == (
        "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271")
    assert xaes_seal(b"\3" * 32, nonce, plaintext, b"c2sp.org/XAES-256-GCM").hex() == (
        "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d")


def show(kind, **fields):
    print(f"\nkind = {kind}")
    for name, value in fields.items():
        print(f"{name} = {value.hex()}".rstrip())


def value(suite, key_id, dek, nonce, context, plaintext):
    aad = b"tp1" + struct.pack(">BI", suite, key_id) + context
    if suite == XAES:
        sealed = xaes_seal(hkdf(dek, b"trustpoint data xaes-256-gcm v1"), nonce, plaintext, aad)
    else:
        sealed = AESGCM(hkdf(dek, b"trustpoint data aes-256-gcm v1")).encrypt(nonce, plaintext, aad)
    stored = struct.pack(">BI", suite, key_id) + nonce + sealed
    show("value", suite=bytes([suite]), key_id=struct.pack(">I", key_id), dek=dek, nonce=nonce,
         context=context, plaintext=plaintext, stored=stored)


def binding(key_id, purpose, name, kek_id):
    data = (b"tpdek1" + struct.pack(">IBI", key_id, PURPOSES[purpose], len(name)) + name
            + bytes([len(kek_id)]) + kek_id)
    show("binding", id=struct.pack(">I", key_id), purpose=bytes([PURPOSES[purpose]]), name=name, kek_id=kek_id,
         input=data, m=sha256(data))
    return sha256(data)


def index(dek, kind, context, plaintext):
    data = b"tpidx1" + bytes([kind]) + struct.pack(">I", len(context)) + context + plaintext
    show("index", dek=dek, type=bytes([kind]), context=context, plaintext=plaintext,
         index=hmac_sha256(hkdf(dek, b"trustpoint index v1"), data))


def tpsec_field(dek, nonce, plaintext, pad=None):
    """Trustpoint's field: today's form, or with a padding the one before."""
    if pad is None:
        padded, aad, prefix = plaintext, b"trustpoint-app-secrets-v1", b"tpsec:v1:"
    else:
        padded, aad, prefix = plaintext + bytes(pad) + bytes([pad]), None, b""
    sealed = AESGCM(dek).encrypt(nonce, padded, aad)
    field = prefix + base64.b64encode(nonce + sealed[-16:] + sealed[:-16])
    show("tpsec_field", form=b"today" if pad is None else b"before", dek=dek, nonce=nonce, plaintext=plaintext,
         padded=padded, field=field)


def aes(key, mode, plaintext):
    encryptor = Cipher(algorithms.AES(key), mode).encryptor()
    return encryptor.update(plaintext) + encryptor.finalize()


def tpsec_dek(kek, dek, iv):
    for form, wrapped in (
            ("ecb", bytes(range(8)) + aes(kek, modes.ECB(), dek)),
            ("rfc3394", b"tpsec:pkcs11:cwrap:v1:" + keywrap.aes_key_wrap(kek, dek)),
            ("rfc5649", b"tpsec:pkcs11:cwrap:v1:" + keywrap.aes_key_wrap_with_padding(kek, dek)),
            ("pkcs7", b"tpsec:pkcs11:cwrap:v1:" + keywrap.aes_key_wrap(kek, dek + b"\x08" * 8)),
            ("cbc-pad", b"tpsec:pkcs11:enc-cbc-pad:v1:" + iv + aes(kek, modes.CBC(iv), dek + b"\x10" * 16)),
            ("cbc", b"tpsec:pkcs11:enc-cbc:v1:" + iv + aes(kek, modes.CBC(iv), dek))):
        show("tpsec_dek", form=form.encode(), kek=kek, dek=dek, wrapped=wrapped)


def main():
    check_xaes()
    dek, other_dek, kek = bytes(range(32)), bytes(range(0x80, 0xA0)), bytes(range(0xC0, 0xE0))
    nonce = {XAES: bytes(range(0x40, 0x58)), AES: bytes(range(0x60, 0x6C))}
    carry = {XAES: b"\xff" * 24, AES: b"\xff" * 12}
    text = "Grüße aus Zürich, 世界".encode()
    kek_id = b"tpkek\0" + bytes(range(10))

    print("# Made by make_vectors.py. Do not edit.")
    for suite in (XAES, AES):
        value(suite, 1, dek, nonce[suite], b"", text)
        value(suite, 2**31 - 1, other_dek, nonce[suite], "users/17/ключ".encode(), text)
        value(suite, 305419896, dek, carry[suite], b"users/17", bytes(range(256)))
        value(suite, 7, dek, nonce[suite], b"empty", b"")
        for size in (1, 15, 16, 17, 1000):
            value(suite, size, dek, nonce[suite], b"size", bytes(i % 251 for i in range(size)))

    payloads = [
        (dek, binding(1, "data", b"default", kek_id)),
        (other_dek, binding(2**31 - 1, "index", "mandant-ü".encode(), kek_id)),
        (dek, binding(42, "tpsec", b"n" * 63, b"")),
    ]
    for key, m in payloads:
        show("wrap", kek=kek, dek=key, m=m, wrapped=keywrap.aes_key_wrap(kek, key + m))
        show("check", dek=key, m=m, check=hmac_sha256(hkdf(key, b"trustpoint check v1"), m))

    index(dek, 1, b"users.email", b"alice@example.org")
    index(dek, 2, b"users.email", b"alice@example.org")
    index(other_dek, 1, b"", text)
    index(other_dek, 2, "ключ".encode(), b"")

    for plaintext in (b"", b"x", text, bytes(i % 251 for i in range(1000))):
        tpsec_field(dek, nonce[AES], plaintext)
    for pad in range(16):
        tpsec_field(other_dek, nonce[AES], text, pad)
    tpsec_field(dek, nonce[AES], b"", 0)
    tpsec_field(dek, nonce[AES], b"", 15)
    tpsec_dek(kek, dek, bytes(range(0x20, 0x30)))


if __name__ == "__main__":
    main()
