"""What a file is by its first bytes, so that a wrong ending is named and not guessed at."""

from typing import Final

HEAD_BYTES: Final = 8192
"""Bytes to look at: enough for every signature here, and for NUL bytes to show in binary data."""
PARQUET: Final = b"PAR1"

_SIGNATURES: Final = (
    (b"\x1f\x8b", "gzip-compressed data"),
    (b"\x28\xb5\x2f\xfd", "Zstandard-compressed data"),
    (b"\xfd7zXZ\x00", "xz-compressed data"),
    (b"BZh91AY&SY", "bzip2-compressed data"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF-", "a PDF document"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\x93NUMPY", "a NumPy array"),
    (PARQUET, "Parquet"),
    (b"\xff\xfe\x00\x00", "text in UTF-32"),
    (b"\x00\x00\xfe\xff", "text in UTF-32"),
    (b"\xff\xfe", "text in UTF-16"),
    (b"\xfe\xff", "text in UTF-16"),
)


def recognised(head: bytes) -> str | None:
    """Return what a file that begins with *head* is, or None when it may well be text in UTF-8."""
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    return "binary data (it has NUL bytes)" if b"\x00" in head else None
