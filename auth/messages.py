"""Every sentence a person can read while signing in."""


def not_on_the_list(service: str) -> str:
    """Say that the provider knows the person but no rule lets them in."""
    return (
        f"You are signed in with {service}, but you are not on this lab's list. "
        "Ask the lab's admin to add you, or sign in with another account."
    )


def name_belongs_to_another(provider_name: str) -> str:
    """Say that this name was first used here by somebody else."""
    return (
        f"The name {provider_name} belongs to another person's account on this lab, "
        "so you cannot use it here. Ask the lab's admin."
    )


def email_not_verified(service: str) -> str:
    """Say that an address is needed that the provider has verified."""
    return f"{service} has not verified your e-mail address. Verify it there, then sign in again."


def no_subject(service: str) -> str:
    """Say that the provider did not tell who the person is."""
    return f"{service} did not say which account is yours. Ask the lab's admin."


def different_subjects(service: str) -> str:
    """Say that two answers of the provider are about different people."""
    return f"{service} gave two different answers about who you are. Sign in again."


SIGN_IN_AGAIN = (
    "This sign-in page was already used, is too old, or was opened in another tab. Sign in again."
)


def cancelled(service: str) -> str:
    """Say that the person or the provider ended the sign-in."""
    return f"The sign-in with {service} was cancelled. Sign in again."


def provider_error(service: str, code: str) -> str:
    """Say which error the provider sent the browser back with."""
    return f"{service} answered the sign-in with the error {code}. Sign in again."


def provider_unreachable(service: str) -> str:
    """Say that nobody can sign in now, through no fault of the person."""
    return f"{service} does not answer at the moment. Try again in a few minutes."


def provider_refused_us(service: str) -> str:
    """Say that the lab itself is not accepted by the provider."""
    return (
        f"{service} does not accept this lab's own credentials. The lab's admin has to check "
        "client_id and client_secret in labhub.yaml."
    )


def other_address(address: str) -> str:
    """Say under which address sign-in works while the lab has no public one."""
    return (
        f"Sign-in works at {address} only. To use another address, the lab's admin sets hub.url "
        "in labhub.yaml."
    )
