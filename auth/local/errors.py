"""What can be wrong, each as one sentence that a person can act on."""


class AccountsError(Exception):
    """The environment does not allow to work: a file, a setting or a port."""


class RefusedError(Exception):
    """The request itself is not possible: a name that is taken, a password too short."""
