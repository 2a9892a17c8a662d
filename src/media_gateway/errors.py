"""The errors that this package raises, and what each one carries.

Every error says in one sentence what was given, what was expected and what to do, and carries the same facts as
fields, so that callers branch on data and not on message text::

    MediaGatewayError
     +-- InvalidInputError (also a ValueError)      field, given, expected
     |    +-- DimensionMismatchError                given and expected are numbers
     |    +-- InvalidVectorError                    NaN, infinity, extreme norm, not numbers
     |    +-- InvalidKeyError                       empty, over 512 bytes, NUL, lone surrogate
     |    +-- DuplicateKeyError                     one key twice in one call
     |    +-- InvalidMetadataError                  not JSON, or text that PostgreSQL cannot hold
     |    +-- InvalidContentError                   not a film or series as MediaContent describes it
     |    +-- InvalidFilterError                    a condition that says nothing or too much
     |    +-- InvalidRequestError                   k, min_score, neither vector nor text
     |    +-- FileFormatError                       path: a file that is not what its ending says
     +-- SettingsError                              field, given, expected
     +-- NotFoundError                              key
     +-- UnsupportedError                           feature, store
     +-- ModelMismatchError                         given, expected: two vector spaces
     +-- EmbeddingError                             model
     |    +-- EmbeddingServiceError                 service, endpoint, status, reason: a model behind HTTP
     |         +-- EmbeddingUnavailableError        no answer, or 429 and 5xx beyond patience: later it may work
     |         +-- EmbeddingAuthenticationError     the key or account is missing, wrong or without rights
     |         +-- EmbeddingRefusedError            the service will not take this request: model name, size, ...
     |         +-- EmbeddingResponseError           an answer that is not the vectors that were asked for
     +-- ServerStartError                           folder, log
     +-- BackupError                                path: missing, damaged, or it could not be made or restored
     +-- KeysFileError                              path: the file of API keys is damaged or cannot be used
     +-- StoreError
          +-- StoreUnavailableError                 server, reason
          |    +-- AuthenticationError              the server is there and refuses the password or role
          |    +-- TlsError                         the server is there, and there is no TLS with it that can be trusted
          +-- StoreTimeoutError                     a statement or the queue for a connection took too long
          +-- OutcomeUnknownError                   cut off at COMMIT: written wholly or not at all, nobody knows which
          +-- StoreFullError                        no space left, or a read-only disk: nothing was written
          +-- IndexBusyError                        server: another build of an index is under way there
          +-- StoreLockedError                      another process holds the file of a memory store or AgentDB for writing
          +-- SnapshotDamagedError                  path: a snapshot or journal that fails its checksum
          +-- ExtensionMissingError                 extension: the server lacks it or it is too old
          +-- EngineRefusedError                    engine, check: an extension that failed its self-test
          +-- SchemaError                           the tables are missing, behind, edited or not ours to change
"""

from typing import Any


class MediaGatewayError(Exception):
    """The root of every error that this package raises on purpose."""


def shown(value: object, limit: int = 80) -> str:
    """Return *value* as it is quoted in a message: its repr, cut to *limit* characters."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no numbers of over 4,300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= limit else text[: limit - 1] + "…"


class InvalidInputError(MediaGatewayError, ValueError):
    """Something given by the caller cannot be taken; nothing was changed."""

    def __init__(self, message: str, *, field: str, given: Any = None, expected: Any = None) -> None:
        super().__init__(message)
        self.field = field
        self.given = given
        self.expected = expected


class DimensionMismatchError(InvalidInputError):
    """A vector has not as many numbers as the collection's vectors have."""

    def __init__(self, *, given: int, expected: int, field: str = "vector", message: str | None = None) -> None:
        super().__init__(
            message
            or f"{field} has {given} numbers, but this collection holds vectors of {expected}; "
            "embed with the collection's model, or use another collection",
            field=field,
            given=given,
            expected=expected,
        )


class InvalidVectorError(InvalidInputError):
    """A vector holds NaN or infinity, has a norm outside 1e-15..1e18, or is not a row of numbers."""


class InvalidKeyError(InvalidInputError):
    """A key is empty, longer than 512 bytes of UTF-8, or holds a NUL character or a lone surrogate."""


class DuplicateKeyError(InvalidInputError):
    """One call names the same key twice."""


class InvalidMetadataError(InvalidInputError):
    """Metadata is not a JSON object, or holds text or numbers that PostgreSQL's jsonb cannot."""


class InvalidContentError(InvalidInputError):
    """A mapping is not a film or a series as `MediaContent` describes it."""


class InvalidFilterError(InvalidInputError):
    """A filter condition is malformed."""


class InvalidRequestError(InvalidInputError):
    """A search request asks for something outside its limits."""


class FileFormatError(InvalidInputError):
    """A file is damaged, cut off, or not what its ending says."""

    def __init__(self, message: str, *, path: str, given: Any = None, expected: Any = None) -> None:
        super().__init__(message, field="file", given=given, expected=expected)
        self.path = path


class SettingsError(MediaGatewayError):
    """A setting has a value that cannot be used."""

    def __init__(self, message: str, *, field: str, given: Any = None, expected: Any = None) -> None:
        super().__init__(message)
        self.field = field
        self.given = given
        self.expected = expected


class NotFoundError(MediaGatewayError, LookupError):
    """No record has this key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"no record has the key {shown(key)}; search finds keys, for example movie-603")
        self.key = key


class UnsupportedError(MediaGatewayError):
    """The store at hand cannot do this; another one can."""

    def __init__(self, message: str, *, feature: str, store: str) -> None:
        super().__init__(message)
        self.feature = feature
        self.store = store


class ModelMismatchError(MediaGatewayError):
    """Vectors of two embedding models, or of two dimensions, were about to meet in one collection."""

    def __init__(self, message: str, *, given: Any, expected: Any) -> None:
        super().__init__(message)
        self.given = given
        self.expected = expected


class EmbeddingError(MediaGatewayError):
    """An embedding model could not be loaded or gave an unusable answer."""

    def __init__(self, message: str, *, model: str) -> None:
        super().__init__(message)
        self.model = model


class EmbeddingServiceError(EmbeddingError):
    """A service that embeds texts failed: *service* at the host *endpoint*, with HTTP *status* where it gave one.

    *reason* says what happened without naming the service. No key and no text that was to be embedded is in here.
    """

    def __init__(
        self, message: str, *, model: str, service: str, endpoint: str, reason: str, status: int | None = None
    ) -> None:
        super().__init__(message, model=model)
        self.service = service
        self.endpoint = endpoint
        self.reason = reason
        self.status = status


class EmbeddingUnavailableError(EmbeddingServiceError):
    """The service gave no answer, or asked to wait longer than allowed; a later call may succeed."""


class EmbeddingAuthenticationError(EmbeddingServiceError):
    """The service refuses the key or account, or there is none."""


class EmbeddingRefusedError(EmbeddingServiceError):
    """The service answers but will not take the request, and would not take it later either."""


class EmbeddingResponseError(EmbeddingServiceError):
    """The service's answer is not one usable vector a text."""


class ServerStartError(MediaGatewayError):
    """The embedded PostgreSQL could not be started, stopped or set up, or the demo's service not be started.

    *log* holds the last lines that it wrote.
    """

    def __init__(self, message: str, *, folder: str, log: str = "") -> None:
        super().__init__(message)
        self.folder = folder
        self.log = log


class BackupError(MediaGatewayError):
    """The backup at *path* is missing, damaged, or could not be made or restored; what runs was not changed."""

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(message)
        self.path = path


class KeysFileError(MediaGatewayError):
    """The file of API keys at *path* is damaged, cannot be read or written, or is open to others."""

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(message)
        self.path = path


class StoreError(MediaGatewayError):
    """A store could not do what it was asked to."""


class StoreUnavailableError(StoreError):
    """The store cannot be reached; nothing was changed, and a later call may succeed."""

    def __init__(self, message: str, *, server: str, reason: str) -> None:
        super().__init__(message)
        self.server = server
        self.reason = reason


class AuthenticationError(StoreUnavailableError):
    """The server answers but refuses the user, the password or the database."""


class TlsError(StoreUnavailableError):
    """The server answers, but no TLS connection that `sslmode` asks for can be made with it; no password was sent."""


class StoreTimeoutError(StoreError):
    """A statement ran longer than allowed, or no connection became free in time."""


class OutcomeUnknownError(StoreError):
    """The connection was lost at COMMIT: the write is there wholly or not at all; read before writing again."""


class StoreFullError(StoreError):
    """There is no space left, or the disk is read-only; the write was undone."""


class IndexBusyError(StoreError):
    """Another build of an index is under way on the server; one at a time."""

    def __init__(self, message: str, *, server: str) -> None:
        super().__init__(message)
        self.server = server


class StoreLockedError(StoreError):
    """Another process writes to this file, a memory store's or an AgentDB one; one writer at a time."""

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(message)
        self.path = path


class SnapshotDamagedError(StoreError):
    """A snapshot or journal fails its checksum or is of an unknown version; it was left as it is."""

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(message)
        self.path = path


class ExtensionMissingError(StoreError):
    """The server lacks the vector extension, or has one that is too old."""

    def __init__(self, message: str, *, extension: str) -> None:
        super().__init__(message)
        self.extension = extension


class EngineRefusedError(StoreError):
    """The engine failed a check of its self-test and must not serve indexed searches."""

    def __init__(self, message: str, *, engine: str, check: str) -> None:
        super().__init__(message)
        self.engine = engine
        self.check = check


class SchemaError(StoreError):
    """The tables are missing, older or newer than this program, edited, or may not be changed by this role."""
