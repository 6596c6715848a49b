#!/usr/bin/python3
"""What the corpora began with: make_seeds.py FOLDER writes FOLDER/<fuzzer>/*. Throw-away keys, new in each run.

Needs python3-cryptography and openssl. Then test/fuzz/minimize takes into the corpus what adds to it.
"""

import hashlib
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "vectors"))
import tpsec_fixtures  # noqa: E402

VECTORS = pathlib.Path(__file__).parent.parent / "vectors" / "vectors.txt"
DEK = bytes(range(32))
KINDS = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "PUBLIC KEY"]
CURVES = ["prime256v1", "secp384r1", "secp521r1", "secp256k1"]


def save(name, seed):
    seed = seed.encode() if isinstance(seed, str) else seed
    folder = pathlib.Path(sys.argv[1]) / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha1(seed).hexdigest()).write_bytes(seed)


def openssl(*command, given=b""):
    return subprocess.run(["openssl", *command], input=given, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          check=True).stdout


def vectors():
    for record in VECTORS.read_text().split("\n\n"):
        pairs = (line.split("=", 1) for line in record.splitlines() if "=" in line)
        yield {key.strip(): value.strip() for key, value in pairs}


def values():
    for vector in vectors():
        if vector.get("kind") == "value" and len(vector["stored"]) < 2000:
            context = bytes.fromhex(vector["context"])
            save("value", bytes([len(context)]) + context + bytes.fromhex(vector["stored"]))
    for name in ["data", "index", "tpsec", "default"]:
        save("value", bytes([len(name)]) + name.encode() + b"tpkek\0" + bytes(10))
    save("value", b"tprec1" + bytes(20) + bytes(384))


def trustpoint():
    for vector in vectors():
        if vector.get("kind") == "tpsec_field" and len(vector["field"]) < 2000:
            save("tpsec", bytes.fromhex(vector["field"]))
    for text in ["", "x", "umlaut ö", "sixteen bytes .."]:
        save("tpsec", tpsec_fixtures.field_today(DEK, text))
        for pad in [0, 1, 15]:
            save("tpsec", tpsec_fixtures.field_before(DEK, text, pad))
    for wrapped in tpsec_fixtures.wrapped(DEK, DEK).values():
        save("tpsec", wrapped)


def private_keys():
    """Each key as PEM and as DER, in each form, also encrypted."""
    made = [(["EC", "-pkeyopt", "ec_paramgen_curve:" + curve], "EC PRIVATE KEY") for curve in CURVES]
    made += [(["RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}"], "RSA PRIVATE KEY") for bits in [512, 2048]]
    made += [(["ED25519"], None), (["X25519"], None), (["RSA-PSS", "-pkeyopt", "rsa_keygen_bits:512"], None)]
    made += [(["EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit"], None),
             (["EC", "-pkeyopt", "ec_paramgen_curve:brainpoolP256r1"], None)]
    for arguments, traditional in made:
        pem = openssl("genpkey", "-algorithm", *arguments)
        yield pem
        save("private_key", pem)
        save("private_key", bytes([0]) + openssl("pkcs8", "-topk8", "-nocrypt", "-outform", "DER", given=pem))
        if traditional:
            save("private_key", openssl("pkey", "-traditional", given=pem))
            save("private_key", openssl("pkey", "-traditional", "-aes128", "-passout", "pass:fuzz", given=pem))
            save("private_key", bytes([KINDS.index(traditional)]) + openssl(
                *(["rsa", "-traditional"] if traditional[0] == "R" else ["ec"]), "-outform", "DER", given=pem))
        if arguments[0].startswith("RSA"):
            continue
        for how in [["-v2", "aes-256-cbc"], ["-v2", "aes-128-cbc", "-iter", "1"], ["-scrypt", "-scrypt_N", "1024"],
                    ["-v1", "PBE-SHA1-3DES"]]:
            encrypted = openssl("pkcs8", "-topk8", "-passout", "pass:fuzz", *how, "-outform", "DER", given=pem)
            save("private_key", bytes([3]) + encrypted)
        save("private_key", openssl("pkcs8", "-topk8", "-passout", "pass:fuzz", given=pem))


def keys():
    for pem in private_keys():
        save("public_key", openssl("pkey", "-pubout", given=pem))
        der = openssl("pkey", "-pubout", "-outform", "DER", given=pem)
        for kind in [5, 6]:
            save("public_key", bytes([kind]) + der)
        for kind, size in enumerate([32, 48, 66, 32]):
            point = der[-(1 + 2 * size):]
            if point[0] == 4:
                save("public_key", bytes([kind]) + point)
                head = bytes([4, len(point)]) if len(point) < 128 else bytes([4, 0x81, len(point)])
                save("public_key", bytes([kind]) + head + point)
    modulus = int(openssl("rsa", "-noout", "-modulus", given=openssl("genrsa", "2048")).split(b"=")[1], 16)
    save("public_key", bytes([4, 3, 1, 0, 1]) + modulus.to_bytes(256, "big"))


def texts():
    names = ["DNS:example.org", "DNS:*.example.org", "IP:192.0.2.1", "IP:2001:db8::1", "email:a@example.org",
             "URI:https://example.org/"]
    subjects = ["CN=device 1,O=Acme,C=DE", "CN=a\\,b\\2Cc\\\\ ,OU=x", "DC=example,DC=org", "1.2.3.4=z, UID = u",
                "serialNumber=1,emailAddress=a@example.org,GN=Grüße,ST=世界", "CN=a+OU=b", "C=DEU", "CN=", "=x"]
    for subject in subjects:
        save("certificate", subject)
        save("certificate", "\n".join([subject, *names]))
    for name in names:
        save("certificate", "CN=a\n" + name)
    for uri in ["token=My%20Token;serial=0a1B;manufacturer=A%26B;model=v1.0", "token=", "", "serial=1", "token=a%00b",
                "token=a?pin-value=1", "token=a;pin-source=x", "object=ca", "id=%b1%02", "id=%b1;object=ca", "slot-id=3",
                "token=a;token=b", "token=%4", "token=a b", "id=" + "%41" * 64]:
        save("uri", "pkcs11:" + uri)


values()
trustpoint()
keys()
texts()
