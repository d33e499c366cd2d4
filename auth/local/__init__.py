"""The embedded OpenID Connect provider: local accounts without any service outside the box.

Django's accounts and sessions, django-oauth-toolkit's protocol. It runs as the hub's managed
service ``accounts`` below ``/services/accounts/``; the hub speaks to it as to any other provider.
"""

SERVICE_PREFIX = "/services/accounts"
CLIENT_ID = "labhub"
ADMIN_GROUP = "labhub-admins"
