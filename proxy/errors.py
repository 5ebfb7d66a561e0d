"""The few error families that cross rooms, named for what the caller can do about them."""


class SelfHealError(Exception):
    """Every expected error: one sentence that names the fix, and the exit code of the command
    line.
    """

    exit_code = 1


class UsageError(SelfHealError):
    """The words of the call are wrong; call again, corrected."""

    exit_code = 2


class ConfigError(SelfHealError):
    """A setting is wrong; the sentence names the key, its origin and what it takes."""

    exit_code = 78


class Unavailable(SelfHealError):
    """Sidecar or database out of reach; try again later."""

    exit_code = 69


class NotPermitted(SelfHealError):
    """This actor may not do this; nobody else's retry will help."""

    exit_code = 77


class NotFound(SelfHealError):
    """No such job, patch, approval or file."""


class Conflict(SelfHealError):
    """Something changed since it was read, or this step does not exist; read again, then decide."""

    def __init__(self, message: str, *, code: str = "conflict") -> None:
        super().__init__(message)
        self.code = code


class Invalid(SelfHealError):
    """The content cannot be taken; ``code`` is stable, the sentence says what would be."""

    def __init__(self, message: str, *, code: str = "invalid") -> None:
        super().__init__(message)
        self.code = code
