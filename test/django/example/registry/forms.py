from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from django import forms

from .models import Device


class DeviceForm(forms.ModelForm):
    secret = forms.CharField(
        strip=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=Device._meta.get_field("secret").help_text,
    )

    class Meta:
        model = Device
        fields = ["name", "serial_number", "secret"]

    def clean_secret(self):
        secret = self.cleaned_data["secret"]
        if Device.objects.filter(secret_index=secret).exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError("Another device has this secret.")
        return secret


class SecretForm(DeviceForm):
    class Meta:
        model = Device
        fields = ["secret"]


class FindForm(forms.Form):
    secret = forms.CharField(strip=False, widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}))


class RequestForm(forms.Form):
    """A certificate request (PKCS#10) in PEM."""

    request = forms.CharField(
        label="Certificate request (PEM)",
        widget=forms.Textarea(
            attrs={"rows": 8, "spellcheck": "false", "placeholder": "-----BEGIN CERTIFICATE REQUEST-----"}
        ),
    )

    def clean_request(self):
        try:
            request = x509.load_pem_x509_csr(self.cleaned_data["request"].encode())
        except ValueError:
            raise forms.ValidationError("This is not a certificate request in PEM.")
        try:
            valid = request.is_signature_valid
        except (ValueError, UnsupportedAlgorithm, InternalError):
            valid = False
        if not valid:
            raise forms.ValidationError("The request is not signed by the key that is in it.")
        return request
