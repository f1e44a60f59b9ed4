"""Compressed answers that were not asked for: some servers compress whatever the request says."""

import gzip
import zlib


def decoded(body: bytes, encoding: str) -> bytes:
    """The content of a body, whose header `content-encoding` says how it is coded. Raises ValueError for another coding or a broken body.

    >>> decoded(gzip.compress(b"tea"), "gzip"), decoded(b"tea", "")
    (b'tea', b'tea')
    """
    for name in reversed([part.strip().lower() for part in encoding.split(",") if part.strip()]):
        try:
            if name in ("gzip", "x-gzip"):
                body = gzip.decompress(body)
            elif name == "deflate":
                body = zlib.decompress(body, zlib.MAX_WBITS if body[:1] == b"\x78" else -zlib.MAX_WBITS)
            elif name != "identity":
                raise ValueError(f"the answer is compressed by {name}, though it was asked for as it is: turn that off")
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"the answer says that it is {name}, and cannot be read as that: {error}") from error
    return body
