"""The environment: MOD-1, MOD-4, MOD-6, CAP-3, CAP-4, STG-4, exit 78."""

from pathlib import Path

import pytest

from cryo_ingest.errors import ConfigurationError, RpcPoolUnresolved
from cryo_ingest.serve.settings import service_from_environment
from cryo_ingest.settings import Caps, Settings, check_mode_is_chosen, from_environment, pool_variable


def test_mod_1_an_empty_environment_is_fake_mode_with_the_documented_defaults():
    """MOD-1, CAP-4, STG-1, STG-4: these are the defaults in the contract."""
    settings = from_environment({})
    assert settings == Settings()
    assert (settings.mode, settings.cryo_bin, settings.staging_ttl_hours) == ("fake", "cryo", 24)
    assert settings.caps == Caps(256, 512 * 1024**2, 2 * 1024**3)
    assert settings.staging_root == Path("/tmp/trace/cryo")  # noqa: S108 - the contract's literal


CAPS = ("MAX_PARQUET_FILES_PER_RANGE", "MAX_PARQUET_BYTES_PER_FILE", "MAX_TOTAL_PARQUET_BYTES_PER_RANGE")

BAD = {
    **{cap: ["0", "-1", "1.5", "x", "", "1e3", "٣"] for cap in CAPS},
    "TRACE_CRYO_MODE": ["REAL", ""],
    "TRACE_CRYO_BIN": [" "],
    "TRACE_CRYO_STAGING_TTL_HOURS": ["-1", "nan", "inf", "x", ""],
    "TRACE_CRYO_DEADLINE_SECONDS": ["0", "-1", "nan", "x"],
    "TRACE_CRYO_STAGING_ROOT": ["relative/path"],
    "TRACE_CRYO_REQUESTS_PER_SECOND": ["0"],
    "TRACE_CRYO_MAX_CONCURRENT_REQUESTS": ["0"],
    "TRACE_LOG_FORMAT": ["xml"],
    "S3_ENDPOINT": ["minio:9000", "http://"],
    "TRACE_COVERAGE": ["everything", ""],
    "TRACE_PROXY": ["on", "", "http://proxy:3128"],
    "TRACE_CRYO_CONFIRMATIONS": ["-1", "1.5", "x", ""],
}


@pytest.mark.parametrize(("variable", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_cap_3_a_bad_value_is_a_configuration_error_that_names_its_variable(variable: str, value: str):
    """CAP-3, MOD-1: an invalid value is an error at start-up with exit code 78."""
    with pytest.raises(ConfigurationError) as caught:
        from_environment({variable: value})
    assert set(caught.value.problems) == {variable}
    assert caught.value.exit_code == 78


def test_cap_3_a_file_cap_above_the_limit_of_one_put_is_rejected():
    """Architecture, Upload: S3 accepts at most 5 GiB in one PUT."""
    with pytest.raises(ConfigurationError, match="5 GiB"):
        from_environment({"MAX_PARQUET_BYTES_PER_FILE": str(5 * 1024**3 + 1)})


def test_every_bad_variable_is_named_at_once():
    """One run shows everything that must be corrected."""
    bad = {"TRACE_CRYO_MODE": "x", "MAX_PARQUET_FILES_PER_RANGE": "0", "TRACE_CRYO_STAGING_TTL_HOURS": "soon"}
    with pytest.raises(ConfigurationError) as caught:
        from_environment(bad)
    assert set(caught.value.problems) == set(bad)


def test_stg_4_a_ttl_of_zero_or_a_fraction_of_an_hour_is_valid():
    """STG-4: the TTL is any number from zero up."""
    assert from_environment({"TRACE_CRYO_STAGING_TTL_HOURS": "0"}).staging_ttl_hours == 0
    assert from_environment({"TRACE_CRYO_STAGING_TTL_HOURS": "0.5"}).staging_ttl_hours == 0.5


@pytest.mark.parametrize(
    ("pool", "variable"),
    [
        ("eth", "TRACE_RPC_POOL_ETH_URL"),
        ("monad-main.net", "TRACE_RPC_POOL_MONAD_MAIN_NET_URL"),
        ("ÉTÉ1", "TRACE_RPC_POOL__T_1_URL"),
    ],
)
def test_mod_6_the_pools_variable_is_derived_from_its_name(pool: str, variable: str):
    """MOD-6: the name in upper case, each character outside A-Z and 0-9 replaced by an underscore."""
    assert pool_variable(pool) == variable


def test_mod_4_a_pools_own_variable_comes_before_the_default():
    """MOD-4, MOD-7: the default is for pools without a variable; white space separates several endpoints."""
    rpc = from_environment({"TRACE_RPC_POOL_ETH_URL": "http://a http://b", "TRACE_CRYO_RPC_URL": "http://c"}).rpc
    assert rpc.resolve("eth") == ("http://a", "http://b")
    assert rpc.resolve("polygon") == ("http://c",)


def test_mod_4_with_neither_variable_the_message_names_both():
    """MOD-4: the user can set either variable."""
    with pytest.raises(RpcPoolUnresolved, match=r"TRACE_RPC_POOL_ETH_URL.*TRACE_CRYO_RPC_URL"):
        from_environment({"TRACE_CRYO_RPC_URL": "  "}).rpc.resolve("eth")


def test_sec_1_no_secret_is_in_the_settings_text():
    """SEC-1: a traceback may show the settings, which must not contain a URL or a key."""
    secrets = {
        "TRACE_CRYO_RPC_URL": "https://rpc.example/s3cret-one",
        "TRACE_RPC_POOL_A_URL": "https://rpc.example/s3cret-two",
        "AWS_SECRET_ACCESS_KEY": "s3cret-three",
        "AWS_SESSION_TOKEN": "s3cret-four",
    }
    settings = from_environment(secrets)
    assert "s3cret" not in repr(settings)
    assert set(settings.secrets()) == set(secrets.values())


@pytest.mark.parametrize("name", ["S3_ENDPOINT", "SQS_ENDPOINT"])
@pytest.mark.parametrize(
    "value", ["https://k3y:s3cret@s3.example", "https://s3.example/?k3y=s3cret", "http://h/#s3cret"]
)
def test_sec_1_an_endpoint_with_credentials_is_rejected_without_repeating_them(name: str, value: str):
    """SEC-1: credentials in an endpoint would be in every error of the store; they have other variables."""
    with pytest.raises(ConfigurationError) as caught:
        service_from_environment({name: value})
    assert name in caught.value.problems
    assert "s3cret" not in str(caught.value)
    assert "k3y" not in str(caught.value)


MISSPELT = {
    "TRACE_CRYO_MODEE": "TRACE_CRYO_MODE",
    "TRACE_CRYO_DEADLINE": "TRACE_CRYO_DEADLINE_SECONDS",
    "TRACE_WORKER_CONCURENCY": "TRACE_WORKER_CONCURRENCY",
    "TRACE_CRYO_URL": "TRACE_CRYO_RPC_URL",
    "MAX_PARQUET_FILES": "MAX_PARQUET_FILES_PER_RANGE",
    "MAX_BYTES_PER_FILE": "MAX_PARQUET_BYTES_PER_FILE",
    "TRACE_RPC_POOL_ETH": "TRACE_RPC_POOL_MY_POOL_URL",
    "TRACE_RPC_POOL_eth_URL": "TRACE_RPC_POOL_MY_POOL_URL",
}


@pytest.mark.parametrize("name", MISSPELT)
def test_a_misspelt_variable_is_a_configuration_error_that_names_the_right_one(name: str):
    """A misspelt limit would limit nothing, and a misspelt mode would publish made-up data."""
    with pytest.raises(ConfigurationError) as caught:
        from_environment({name: "s3cret", "PATH": "/bin"})
    assert set(caught.value.problems) == {name}
    assert MISSPELT[name] in caught.value.problems[name]
    assert "s3cret" not in str(caught.value)


def test_variables_of_other_commands_and_of_other_programs_are_no_mistakes():
    """One environment serves all commands, and MAX_ is not only our prefix."""
    names = ("TRACE_WORKER_TOKEN", "TRACE_HEALTH_ADDR", "TRACE_ORG_ID", "MAX_JOBS", "MAX_OLD_SPACE_SIZE", "TRACEPARENT")
    from_environment(dict.fromkeys(names, "1"))


def test_mod_1_a_pool_without_a_mode_is_a_configuration_error():
    """MOD-1: fake is the default, but who configures a node does not want made-up data."""
    for variable in ("TRACE_RPC_POOL_ETH_URL", "TRACE_CRYO_RPC_URL"):
        with pytest.raises(ConfigurationError, match=f"TRACE_CRYO_MODE: must be set, because {variable} is"):
            check_mode_is_chosen({variable: "http://a"})
    for mode in ("fake", "real"):
        check_mode_is_chosen({"TRACE_CRYO_RPC_URL": "http://a", "TRACE_CRYO_MODE": mode})
    check_mode_is_chosen({"TRACE_CRYO_RPC_URL": " "})
