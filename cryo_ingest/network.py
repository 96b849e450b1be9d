"""Reads the proxies and certificate authorities of the worker's own clients from the environment.

`extract/command.py` builds Cryo's environment, and `settings.py` reads `TRACE_PROXY`, which turns proxies on.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
"""Each is also read in lower case, which takes precedence, as in curl and Python."""

CERTIFICATE_FILE, CERTIFICATE_DIRECTORY = "SSL_CERT_FILE", "SSL_CERT_DIR"


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxy variables that apply; empty if proxies are off. Their values can contain credentials."""

    variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Proxies:
        """Return the proxy variables that are set in an environment."""
        names = [spelling for name in PROXY_VARIABLES for spelling in (name.lower(), name)]
        return cls({name: environment[name] for name in names if environment.get(name)})

    def for_url(self, url: str) -> str | None:
        """Return the proxy's URL for requests to `url`, None if they go directly."""
        parts = urlsplit(url)
        if any(_excludes(entry.strip(), parts.hostname or "") for entry in self._value("no_proxy").split(",")):
            return None
        proxy = self._value(f"{parts.scheme}_proxy") or self._value("all_proxy")
        return with_scheme(proxy) if proxy else None

    def invalid_variables(self) -> list[str]:
        """Return the variables whose value is not an HTTP proxy."""
        return [
            name for name, value in self.variables.items() if name.lower() != "no_proxy" and not _is_http_proxy(value)
        ]

    def secrets(self) -> list[str]:
        """Return the proxies' URLs, for redaction."""
        return [value for name, value in self.variables.items() if name.lower() != "no_proxy"]

    def _value(self, name: str) -> str:
        return self.variables.get(name) or self.variables.get(name.upper(), "")


def _excludes(entry: str, host: str) -> bool:
    """Return whether an entry of `NO_PROXY` matches a host: its name, a parent domain, its network, or `*`."""
    domain = entry.lower().rpartition(":")[0] if entry.count(":") == 1 else entry.lower()
    domain = domain.removeprefix("*.").removeprefix(".").strip("[]")
    if entry == "*" or (domain and (host == domain or host.endswith(f".{domain}"))):
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(domain, strict=False)
    except ValueError:
        return False


def with_scheme(proxy: str) -> str:
    """Return a proxy's URL; a value without a scheme gets `http://`."""
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_http_proxy(value: str) -> bool:
    try:
        parts = urlsplit(with_scheme(value))
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def certificate_bundle(environment: Mapping[str, str]) -> bytes | None:
    """Return the certificates of `SSL_CERT_FILE` and `SSL_CERT_DIR` as PEM, None if there are none.

    For a client that accepts only one file. Unreadable files are skipped, as in OpenSSL.
    """
    files = [Path(environment[CERTIFICATE_FILE])] if environment.get(CERTIFICATE_FILE) else []
    for directory in filter(None, environment.get(CERTIFICATE_DIRECTORY, "").split(":")):
        try:
            files += sorted(Path(directory).iterdir())
        except OSError:
            continue
    found: dict[bytes, None] = {}
    for file in files:
        try:
            content = file.read_bytes()
        except OSError:
            continue
        if b"-----BEGIN CERTIFICATE-----" in content:
            found[content.rstrip()] = None
    return b"\n".join([*found, b""]) if found else None
