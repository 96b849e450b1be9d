"""Proxies and certificate authorities of the environment; proxies are used only with `TRACE_PROXY`."""

from pathlib import Path

import pytest

from cryo_ingest.errors import ConfigurationError
from cryo_ingest.extract import command
from cryo_ingest.network import Proxies, certificate_bundle
from cryo_ingest.ports import ExtractionRequest
from cryo_ingest.settings import from_environment

PROXY = "http://us3r:p4ss-canary@proxy.example:3128"


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({}, "http://node.example/", None),
        ({"HTTP_PROXY": PROXY}, "http://node.example/", PROXY),
        ({"HTTP_PROXY": PROXY}, "https://node.example/", None),
        ({"HTTPS_PROXY": PROXY}, "https://node.example/", PROXY),
        ({"ALL_PROXY": "proxy.example:3128"}, "https://node.example/", "http://proxy.example:3128"),
        ({"http_proxy": "http://lower", "HTTP_PROXY": PROXY}, "http://node.example/", "http://lower"),
        ({"HTTP_PROXY": PROXY, "NO_PROXY": "other, .example"}, "http://node.example:8545/", None),
        ({"HTTP_PROXY": PROXY, "no_proxy": "node.example:8545"}, "http://node.example:8545/", None),
        ({"HTTP_PROXY": PROXY, "NO_PROXY": "*"}, "http://node.example/", None),
        ({"HTTP_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8,::1"}, "http://10.1.2.3:8545/", None),
        ({"HTTP_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8,::1"}, "http://[::1]:8545/", None),
        ({"HTTP_PROXY": PROXY, "NO_PROXY": "ample,xample.com,11.0.0.0/8"}, "http://node.example/", PROXY),
    ],
)
def test_the_proxy_of_a_url_is_that_of_the_usual_variables(variables: dict[str, str], url: str, proxy: str | None):
    """The scheme selects the variable, lower case first, except for `NO_PROXY`; `repr` has no credentials."""
    proxies = Proxies.from_environment(variables)
    assert proxies.for_url(url) == proxy
    assert "canary" not in repr(proxies)


def test_proxy_variables_are_ignored_without_trace_proxy():
    """A proxy would see the keys in the URLs of nodes, so it must be turned on."""
    variables = {"HTTP_PROXY": PROXY, "https_proxy": "socks5://no-proxy-of-ours"}
    assert from_environment(variables).proxies.for_url("http://node.example") is None
    settings = from_environment({"HTTP_PROXY": PROXY, "TRACE_PROXY": "environment"})
    assert (
        settings.proxies.for_url("http://node.example") == settings.s3.proxies.for_url("http://node.example") == PROXY
    )
    assert PROXY in settings.secrets()


@pytest.mark.parametrize("value", ["socks5://proxy:1080", "http://", "http://[", "proxy:0"])
def test_a_proxy_that_cannot_be_used_is_a_configuration_error_that_names_its_variable(value: str):
    """Exit code 78: it is found at the start, not at the first request."""
    with pytest.raises(ConfigurationError) as caught:
        from_environment({"TRACE_PROXY": "environment", "ALL_PROXY": value})
    assert set(caught.value.problems) == {"ALL_PROXY"}


def test_cryo_gets_the_proxy_variables_only_if_our_own_client_uses_them(tmp_path: Path):
    """SEC-1: Cryo uses all proxy variables that it gets."""
    request = ExtractionRequest(None, (), tmp_path, (), "http://node.example")  # type: ignore[arg-type]
    inherited = {"PATH": "/bin", "HTTP_PROXY": PROXY, "no_proxy": "x", "SECRET": "y"}
    off = from_environment(inherited)
    on = from_environment(inherited | {"TRACE_PROXY": "environment"})
    base = {"PATH": "/bin", "ETH_RPC_URL": "http://node.example"}
    assert command.environment(request, off, inherited=inherited) == base
    assert command.environment(request, on, inherited=inherited) == base | {"HTTP_PROXY": PROXY, "no_proxy": "x"}


def test_the_certificates_of_a_file_and_of_directories_are_one_bundle(tmp_path: Path):
    """`SSL_CERT_FILE`, `SSL_CERT_DIR`: each certificate is included once, and unreadable files are skipped."""
    one, two = (f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n" for name in ("one", "two"))
    (tmp_path / "certs").mkdir()
    (tmp_path / "one.pem").write_text(one)
    (tmp_path / "certs" / "0123abcd.0").write_text(one)
    (tmp_path / "certs" / "two.pem").write_text(two)
    (tmp_path / "certs" / "README").write_text("no certificate")
    (tmp_path / "certs" / "folder").mkdir()
    file, directories = str(tmp_path / "one.pem"), f"/nowhere:{tmp_path / 'certs'}"
    both = certificate_bundle({"SSL_CERT_FILE": file, "SSL_CERT_DIR": directories})
    assert both == (one + two).encode()
    assert certificate_bundle({"SSL_CERT_FILE": "/nowhere", "SSL_CERT_DIR": directories}) == (one + two).encode()
    assert certificate_bundle({"SSL_CERT_FILE": "/nowhere"}) is None
    assert certificate_bundle({}) is None
