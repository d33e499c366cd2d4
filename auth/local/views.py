"""The pages. Everything a person reads is in the templates."""

# ruff: noqa: ANN401 - Django's and the toolkit's views pass anything on

import math
from typing import Any

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth import views as django_views
from django.contrib.auth.mixins import LoginRequiredMixin
from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse_lazy
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST
from django.views.generic import TemplateView
from oauth2_provider.exceptions import InvalidIDTokenError, InvalidOIDCClientError
from oauth2_provider.models import get_application_model
from oauth2_provider.views import AuthorizationView, RPInitiatedLogoutView

from auth.local import people, throttle
from auth.local.audit import record
from auth.local.forms import ChangePasswordForm, ChoosePasswordForm, SignInForm, typed_name
from auth.local.models import Account
from auth.local.settings import HUB_HOME
from auth.local.waiting import client_address


def address_of(request: HttpRequest) -> str:
    """Return where the browser is."""
    forwarded_for = request.headers.get("X-Forwarded-For", "")
    peer = request.META.get("REMOTE_ADDR", "")
    return client_address(forwarded_for, peer, settings.LABHUB_FRONTS)


class ThrottledPost:
    """Refuse to check a password while somebody is guessing: 429 with Retry-After."""

    def throttled_name(self) -> str:
        """Return the account whose password is about to be checked."""
        raise NotImplementedError

    @method_decorator(sensitive_post_parameters())
    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Count the attempt, then check it, unless it comes too soon."""
        name, address = self.throttled_name(), address_of(request)
        wait = throttle.attempt(name, address, timezone.now())
        if not wait:
            return super().post(request, *args, **kwargs)
        seconds = math.ceil(wait.total_seconds())
        record("sign-in-throttled", name, address=address, seconds=seconds)
        context = self.get_context_data(form=self.get_form_class()(**self._empty()), wait=seconds)
        response = self.render_to_response(context, status=429)
        response["Retry-After"] = str(seconds)
        return response

    def _empty(self) -> dict[str, Any]:
        """Return what makes a form that nothing was typed into, so that it complains of nothing."""
        typed = ("data", "files")
        return {key: value for key, value in self.get_form_kwargs().items() if key not in typed}

    def form_valid(self, form: Form) -> HttpResponse:
        """Forget the failures before this success."""
        throttle.forget(self.throttled_name(), address_of(self.request))
        return super().form_valid(form)


class SignIn(ThrottledPost, django_views.LoginView):
    """Name and password."""

    template_name = "accounts/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def throttled_name(self) -> str:
        """Return the name that was typed."""
        return typed_name(self.request.POST.get("username", ""))

    def form_valid(self, form: Form) -> HttpResponse:
        """Sign in."""
        record("signed-in", self.throttled_name(), address=address_of(self.request))
        return super().form_valid(form)

    def form_invalid(self, form: Form) -> HttpResponse:
        """Say that it was wrong, not what was wrong."""
        record("sign-in-failed", self.throttled_name(), address=address_of(self.request))
        return super().form_invalid(form)


class ChoosePassword(django_views.PasswordResetConfirmView):
    """What a setup link opens: choose a password, be signed in, go to the hub."""

    template_name = "accounts/choose_password.html"
    form_class = ChoosePasswordForm
    token_generator = people.setup_links
    reset_url_token = "choose"  # noqa: S105 - the word in the URL once the token is in the session
    post_reset_login = True
    success_url = HUB_HOME

    def get_user(self, uidb64: str) -> Account | None:
        """Return whose link it is; a locked account's link is as good as too old."""
        account = super().get_user(uidb64)
        return account if account is not None and account.is_active else None

    def form_valid(self, form: Form) -> HttpResponse:
        """Set the password; what the old one opened is closed."""
        response = super().form_valid(form)
        people.revoke_tokens(form.user)
        record("password-chosen", form.user.username, address=address_of(self.request))
        return response


class AccountPage(LoginRequiredMixin, TemplateView):
    """Who you are here."""

    template_name = "accounts/account.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the groups, and whether the password was changed just now."""
        just_changed = self.request.session.pop("password_changed", False)
        groups = self.request.user.group_names()
        return super().get_context_data(groups=groups, just_changed=just_changed, **kwargs)


class ChangePassword(ThrottledPost, django_views.PasswordChangeView):
    """Old password, new password twice. Every other browser is signed out."""

    template_name = "accounts/change_password.html"
    form_class = ChangePasswordForm
    success_url = reverse_lazy("account")

    def throttled_name(self) -> str:
        """Return who is signed in."""
        return self.request.user.username

    def form_valid(self, form: Form) -> HttpResponse:
        """Change it, and end what the old one opened."""
        response = super().form_valid(form)
        people.revoke_tokens(form.user)
        self.request.session["password_changed"] = True
        record("password-changed", form.user.username, address=address_of(self.request))
        return response


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """Sign out here, then at the hub."""
    if request.user.is_authenticated:
        record("signed-out", request.user.username, address=address_of(request))
    logout(request)
    return redirect("/hub/logout")


@require_GET
def health(_request: HttpRequest) -> HttpResponse:
    """Say that the process and its database answer."""
    Account.objects.exists()
    return HttpResponse("ok", content_type="text/plain")


class Authorize(AuthorizationView):
    """The hub is the only client and needs no consent, so this page only ever shows an error."""

    template_name = "accounts/refused.html"
    http_method_names = ("get",)


class SignOutFromHub(RPInitiatedLogoutView):
    """The hub sends the browser here after its own logout."""

    template_name = "accounts/sign_out.html"

    def validate_logout_request_user(self, id_token_hint: str | None, client_id: str | None) -> Any:
        """Treat a hint that is too old to prove anything as no hint: the page asks instead."""
        try:
            return super().validate_logout_request_user(id_token_hint, client_id)
        except InvalidIDTokenError:
            return None

    def get_request_application(self, id_token: Any, client_id: str | None) -> Any:
        """Return the client; an unknown one is an error page, where the toolkit would raise."""
        try:
            return super().get_request_application(id_token, client_id)
        except get_application_model().DoesNotExist:
            raise InvalidOIDCClientError from None

    def do_logout(self, *args: Any, **kwargs: Any) -> HttpResponseRedirect:
        """Sign out and write it down."""
        if self.request.user.is_authenticated:
            name = self.request.user.username
            record("signed-out", name, address=address_of(self.request))
        return super().do_logout(*args, **kwargs)
