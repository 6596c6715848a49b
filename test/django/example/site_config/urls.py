from django.urls import path

from registry import views

urlpatterns = [
    path("", views.devices, name="devices"),
    path("devices/new/", views.new_device, name="new-device"),
    path("devices/<int:pk>/", views.device, name="device"),
    path("devices/<int:pk>/secret/", views.change_secret, name="change-secret"),
    path("devices/<int:pk>/sign/", views.sign, name="sign"),
    path("certificates/<int:pk>.pem", views.certificate, name="certificate"),
    path("find/", views.find, name="find"),
    path("authority/", views.authority, name="authority"),
]
