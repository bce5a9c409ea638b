"""Who looks at subscriptions in the admin, with what they may, and a name that no page may trip over."""

from django.contrib.auth.models import Permission, User
from django.test import Client

HOSTILE = "<script>alert(1)</script> \N{RIGHT-TO-LEFT OVERRIDE}\u05d0"


def client(*permissions: str) -> Client:
    user = User.objects.create_user(f"user-{User.objects.count()}", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    made = Client()
    made.force_login(user)
    return made
