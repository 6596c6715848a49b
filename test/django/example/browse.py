"""The example's pages as a browser's user goes through them: real requests to the running development server, with cookies,
forms and their CSRF tokens. Run by test/django/check on the server of PGHOST and its kin."""

import concurrent.futures
import http.cookiejar
import os
import re
import socket
import subprocess
import sys
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request
from html.parser import HTMLParser
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HERE = Path(__file__).resolve().parent
SECRET = 'correct horse, "100%" battery & staple <ü>'


class Page(HTMLParser):
    """What of a page a user acts on: its forms, its links, its text."""

    def __init__(self, address, status, html):
        super().__init__()
        self.address, self.status, self.html = address, status, html
        self.forms, self.links, self.words, self.by_id = [], {}, [], {}
        self.open, self.link, self.area = [], None, None
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form":
            self.forms.append({"action": attributes.get("action", self.address), "fields": {}})
        elif tag in ("input", "textarea") and self.forms:
            self.forms[-1]["fields"][attributes["name"]] = attributes.get("value", "")
        elif tag == "a":
            self.link = attributes["href"]
        if tag not in ("input", "meta", "br", "link"):
            self.open.append((tag, attributes.get("id")))

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass
        if tag == "a":
            self.link = None

    def handle_data(self, data):
        if any(tag in ("style", "title") for tag, name in self.open):
            return
        self.words.append(data)
        for tag, name in self.open:
            if name:
                self.by_id[name] = self.by_id.get(name, "") + data
        if self.link:
            self.links[data.strip()] = self.link

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


class Browser:
    def __init__(self, base):
        self.base = base
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def load(self, address, data=None):
        address = urllib.parse.urljoin(self.base, address)
        try:
            response = self.opener.open(urllib.request.Request(address, data, {"Referer": self.base}), timeout=60)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            return Page(response.url, response.status, response.read().decode())

    def follow(self, page, link):
        return self.load(urllib.parse.urljoin(page.address, page.links[link]))

    def submit(self, page, form=0, **values):
        form = page.forms[form]
        unknown = set(values) - set(form["fields"])
        assert not unknown, "the form has no %s" % unknown
        data = urllib.parse.urlencode({**form["fields"], **values}).encode()
        return self.load(urllib.parse.urljoin(page.address, form["action"]), data)


def certificate_request(name):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return key, request.public_bytes(serialization.Encoding.PEM).decode()


def manage(*arguments):
    subprocess.run([sys.executable, "manage.py", *arguments], cwd=HERE, check=True, stdout=subprocess.DEVNULL)


class ExampleTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        manage("migrate", "--skip-checks", "--verbosity", "0")
        manage("prepare_authority")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        cls.log = open(os.environ.get("TMPDIR", "/tmp") + "/example.log", "w+")
        cls.server = subprocess.Popen(
            [sys.executable, "manage.py", "runserver", "--noreload", "127.0.0.1:%d" % port],
            cwd=HERE,
            stdout=cls.log,
            stderr=cls.log,
        )
        cls.base = "http://127.0.0.1:%d/" % port
        for attempt in range(1200):
            try:
                urllib.request.urlopen(cls.base, timeout=60).close()
                return
            except (urllib.error.URLError, ConnectionError):
                if cls.server.poll() is not None:
                    break
                time.sleep(0.1)
        cls.stop()
        raise AssertionError("the development server does not answer: " + open(cls.log.name).read())

    @classmethod
    def tearDownClass(cls):
        cls.stop()

    @classmethod
    def stop(cls):
        cls.server.terminate()
        cls.server.wait()

    def add(self, name, secret, serial_number=""):
        browser = Browser(self.base)
        page = browser.follow(browser.load("/"), "Add a device")
        return browser, browser.submit(page, name=name, secret=secret, serial_number=serial_number)

    def test_a_device_from_its_secret_to_its_certificate(self):
        browser, page = self.add("router 1", SECRET, "SN-1")
        self.assertIn("router 1 was added", page.text)
        self.assertEqual(page.by_id["secret"], SECRET)
        self.assertRegex(page.by_id["stored"], "^e1[0-9a-f]{60}")
        self.assertIn("xaes-256-gcm", page.text)

        self.assertIn("router 1", browser.load("/").text)
        self.assertNotIn(SECRET, browser.load("/").html)

        page = browser.follow(page, "Find by secret")
        page = browser.submit(page, secret=SECRET)
        self.assertIn("This is the secret of router 1", page.text)
        self.assertNotIn("horse", page.address)
        self.assertIn("No device has this secret", browser.submit(page, secret=SECRET[:-1]).text)
        page = browser.follow(page, "router 1")

        key, request = certificate_request("whatever it calls itself")
        page = browser.submit(page, form=0, request=request)
        self.assertIn("signed with the CA's key", page.text)
        pem = browser.load(page.links["PEM"]).html
        certificate = x509.load_pem_x509_certificate(pem.encode())
        self.assertEqual(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value, "router 1")
        self.assertEqual(certificate.public_key().public_numbers(), key.public_key().public_numbers())

        authority_page = browser.load("/authority/")
        self.assertIn("sensitive", authority_page.text)
        authority = x509.load_pem_x509_certificate(authority_page.by_id["pem"].encode())
        self.assertEqual(certificate.issuer, authority.subject)
        # Checked by another implementation than the token that signed: raises when it does not verify.
        for signed, signer in ((certificate, authority), (authority, authority)):
            signer.public_key().verify(
                signed.signature, signed.tbs_certificate_bytes, ec.ECDSA(signed.signature_hash_algorithm)
            )
        self.verify_with_openssl(authority_page.by_id["pem"], pem)

    def verify_with_openssl(self, authority, certificate):
        folder = Path(os.environ.get("TMPDIR", "/tmp"))
        (folder / "ca.pem").write_text(authority)
        (folder / "device.pem").write_text(certificate)
        subprocess.run(
            ["openssl", "verify", "-x509_strict", "-CAfile", folder / "ca.pem", folder / "device.pem"],
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def test_a_secret_is_changed(self):
        browser, page = self.add("switch", "first secret")
        page = browser.submit(page, form=1, secret="second secret")
        self.assertEqual(page.by_id["secret"], "second secret")
        find = browser.load("/find/")
        self.assertIn("secret of switch", browser.submit(find, secret="second secret").text)
        self.assertIn("No device", browser.submit(find, secret="first secret").text)

    def test_what_is_refused(self):
        browser, page = self.add("camera", "camera's secret")
        address = page.address
        self.assertIn("Another device has this secret", self.add("camera 2", "camera's secret")[1].text)
        self.assertIn("already exists", self.add("camera", "something else")[1].text)
        page = browser.submit(browser.load(address), form=0, request="no request")
        self.assertEqual(page.status, 422)
        self.assertIn("not a certificate request", page.text)
        forged = certificate_request("x")[1].splitlines()
        for line in range(1, len(forged) - 1):
            changed = forged[:]
            changed[line] = changed[line][:9] + ("A" if changed[line][9] != "A" else "B") + changed[line][10:]
            self.assertEqual(browser.submit(browser.load(address), form=0, request="\n".join(changed)).status, 422)
        # Without the token of the form.
        self.assertEqual(browser.load("/find/", b"secret=x").status, 403)

    def test_a_connection_a_request_from_eight_clients(self):
        """CONN_MAX_AGE = 0: each request is a new server process that must get its data key, none from another."""
        browser, page = self.add("busy", "busy secret")

        def client(number):
            own = Browser(self.base)
            find = own.load("/find/")
            for turn in range(24 // 2):
                device = own.load(page.address)
                assert device.status == 200 and device.by_id["secret"] == "busy secret", device.text
                found = own.submit(find, secret="busy secret")
                assert found.status == 200 and "secret of busy" in found.text, found.text
            return 25

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            self.assertEqual(sum(pool.map(client, range(8))), 200)


if __name__ == "__main__":
    unittest.main()
