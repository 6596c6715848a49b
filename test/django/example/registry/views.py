from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID
from django.conf import settings
from django.contrib import messages
from django.db import connection
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from django_trustpoint.expressions import TpCiphertext

from .forms import DeviceForm, FindForm, RequestForm, SecretForm
from .issuing import issue
from .models import Authority, Certificate, Device


@require_safe
def devices(request):
    # The list needs no secret: none is decrypted.
    found = Device.objects.defer("secret").annotate(certificate_count=Count("certificates"))
    return render(request, "registry/devices.html", {"devices": found})


def new_device(request):
    form = DeviceForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        created = form.save()
        messages.success(request, "%s was added. Its secret is stored encrypted." % created)
        return redirect("device", created.pk)
    return render(request, "registry/new_device.html", {"form": form})


def show_device(request, pk, request_form, secret_form, status=200):
    found = get_object_or_404(Device.objects.annotate(stored=TpCiphertext("secret")), pk=pk)
    stored = bytes(found.stored)
    context = {
        "device": found,
        "stored": stored.hex(),
        "value": inspect(stored),
        "certificates": [
            (row, *shown(x509.load_pem_x509_certificate(row.pem.encode()))) for row in found.certificates.all()
        ],
        "request_form": request_form,
        "secret_form": secret_form,
    }
    return render(request, "registry/device.html", context, status=status)


def shown(certificate):
    """Subject and end of a certificate. cryptography 42 gave the end a time zone, under a new name."""
    return (
        name_of(certificate.subject),
        getattr(certificate, "not_valid_after_utc", None) or certificate.not_valid_after,
    )


def name_of(subject):
    short = {NameOID.COMMON_NAME: "CN", NameOID.SERIAL_NUMBER: "serial number", NameOID.ORGANIZATION_NAME: "O"}
    return ", ".join("%s %s" % (short.get(part.oid, part.oid.dotted_string), part.value) for part in subject)


def inspect(stored):
    with connection.cursor() as cursor:
        cursor.execute("SELECT suite, key_id, plaintext_length FROM tp_inspect(%s)", [stored])
        return dict(zip(("suite", "key_id", "length"), cursor.fetchone()))


@require_safe
def device(request, pk):
    return show_device(request, pk, RequestForm(), SecretForm())


@require_POST
def change_secret(request, pk):
    form = SecretForm(request.POST, instance=get_object_or_404(Device, pk=pk))
    if not form.is_valid():
        return show_device(request, pk, RequestForm(), form, status=422)
    form.save()
    messages.success(request, "The secret was changed.")
    return redirect("device", pk)


@require_POST
def sign(request, pk):
    form = RequestForm(request.POST)
    if not form.is_valid():
        return show_device(request, pk, form, SecretForm(), status=422)
    issue(get_object_or_404(Device, pk=pk), form.cleaned_data["request"], current_authority())
    messages.success(request, "The request was signed with the CA's key in the token.")
    return redirect("device", pk)


@require_safe
def certificate(request, pk):
    found = get_object_or_404(Certificate, pk=pk)
    return HttpResponse(found.pem, content_type="application/x-pem-file")


def find(request):
    """A POST, as a secret does not belong into an address."""
    form = FindForm(request.POST or None)
    found = None
    if request.method == "POST" and form.is_valid():
        found = list(Device.objects.filter(secret_index=form.cleaned_data["secret"]))
    return render(request, "registry/find.html", {"form": form, "found": found})


@require_safe
def authority(request):
    current = current_authority()
    certificate = x509.load_pem_x509_certificate(current.certificate.encode())
    subject, valid_until = shown(certificate)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT type, bits, curve, usage, attributes FROM tp_hsm_keys() WHERE label = %s", [current.label]
        )
        key = dict(zip(("type", "bits", "curve", "usage", "attributes"), cursor.fetchone()))
        cursor.execute("SELECT label, model, manufacturer, serial FROM tp_hsm_info()")
        token = dict(zip(("label", "model", "manufacturer", "serial"), cursor.fetchone()))
    context = {
        "authority": current,
        "subject": subject,
        "valid_until": valid_until,
        "fingerprint": certificate.fingerprint(hashes.SHA256()).hex(" ", 2),
        "key": key,
        "token": token,
        "issued": Certificate.objects.count(),
    }
    return render(request, "registry/authority.html", context)


def current_authority():
    return get_object_or_404(Authority, label=settings.CA_LABEL)
