"""The forms; Django's own, with this lab's words."""

# ruff: noqa: ANN401 - Django's forms pass anything on

from typing import Any, ClassVar

from django import forms
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm, SetPasswordForm

WRONG = "Name or password is wrong."


def typed_name(text: str) -> str:
    """Return the account name somebody meant: accounts are lower-case, phones capitalise.

    Only ASCII is folded: other letters that fold to ASCII must not become someone else's name.
    """
    text = text.strip()
    return text.lower() if text.isascii() else text


class SignInForm(AuthenticationForm):
    """Name and password. Unknown name, wrong password and locked account look the same."""

    error_messages: ClassVar = {"invalid_login": WRONG, "inactive": WRONG}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Label the fields for people and for password stores."""
        super().__init__(*args, **kwargs)
        self.fields["username"] = forms.CharField(
            label="Name",
            max_length=150,
            widget=forms.TextInput(
                attrs={
                    "autofocus": True,
                    "autocomplete": "username",
                    "autocapitalize": "none",
                    "spellcheck": "false",
                    "maxlength": 150,
                }
            ),
        )

    def clean_username(self) -> str:
        """Fold what was typed."""
        return typed_name(self.cleaned_data["username"])


class ChoosePasswordForm(SetPasswordForm):
    """A first or a new password, twice."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Label the fields and put the rule beside the first one."""
        super().__init__(*args, **kwargs)
        _name_new_fields(self)
        self.fields["new_password1"].widget.attrs["autofocus"] = True


class ChangePasswordForm(PasswordChangeForm):
    """The old password, and the new one twice."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Label the fields and put the rule beside the first new one."""
        super().__init__(*args, **kwargs)
        self.fields["old_password"].label = "Your password now"
        _name_new_fields(self)


def _name_new_fields(form: forms.Form) -> None:
    form.fields["new_password1"].label = "New password"
    form.fields[
        "new_password1"
    ].help_text = (
        "At least 12 characters; not a common password, not only digits, not like your name."
    )
    form.fields["new_password2"].label = "New password again"
    form.fields["new_password2"].help_text = ""
