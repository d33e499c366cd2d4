"""What is served: the pages and the protocol, nothing else of the toolkit, and no admin site."""

from django.urls import include, path, re_path
from oauth2_provider import views as protocol

from auth.local import views

# The toolkit looks its own endpoints up by these names when it writes the discovery document.
PROTOCOL = (
    [
        path("authorize/", views.Authorize.as_view(), name="authorize"),
        path("token/", protocol.TokenView.as_view(), name="token"),
        path("revoke_token/", protocol.RevokeTokenView.as_view(), name="revoke-token"),
        path("userinfo/", protocol.UserInfoView.as_view(), name="user-info"),
        path("logout/", views.SignOutFromHub.as_view(), name="rp-initiated-logout"),
        re_path(
            r"^\.well-known/openid-configuration/?$",
            protocol.ConnectDiscoveryInfoView.as_view(),
            name="oidc-connect-discovery-info",
        ),
        path(".well-known/jwks.json", protocol.JwksInfoView.as_view(), name="jwks-info"),
    ],
    "oauth2_provider",
)

urlpatterns = [
    path("", views.AccountPage.as_view(), name="account"),
    path("sign-in/", views.SignIn.as_view(), name="sign-in"),
    path("sign-out/", views.sign_out, name="sign-out"),
    path("password/", views.ChangePassword.as_view(), name="change-password"),
    path("setup/<uidb64>/<token>/", views.ChoosePassword.as_view(), name="setup"),
    path("health", views.health, name="health"),
    path("o/", include(PROTOCOL)),
]
