"""Secrets: never in a message, a repr or a flag without a word; a real key stays out of demo."""

from __future__ import annotations

from config.settings import known
from tests.unit.config.given import CANARY, loaded, one_problem, problems, settings

KEY = "0x" + "1f" * 32


def test_no_secret_is_ever_in_a_message() -> None:
    """Every secret setting, wrong or misspelt, in every layer, keeps its value to itself."""
    secrets = [setting.name for setting in known().values() if setting.secret]
    assert {"API_TOKEN", "HYPERLIQUID_API_KEY"} <= set(secrets)
    given = dict.fromkeys(secrets, CANARY)
    misspelt = {name + "X": CANARY for name in secrets}
    text = "\n".join(problems(given | misspelt | {"HTTP_PORT": "x"}, given))
    assert "HYPERLIQUID_API_KEY: (hidden)" in text
    assert CANARY not in text


def test_a_key_in_the_wrong_place_is_hidden_too() -> None:
    """The account and the key are easily swapped."""
    line = one_problem({"HYPERLIQUID_ACCOUNT": KEY})
    assert KEY not in line and "(hidden)" in line


def test_the_tree_does_not_print_its_secrets() -> None:
    """repr and JSON of the settings end up in logs sooner or later."""
    tree = settings({"API_TOKEN": CANARY})
    assert tree.web.api_token is not None
    assert tree.web.api_token.get_secret_value() == CANARY
    assert CANARY not in repr(tree) + tree.model_dump_json()


def test_a_secret_as_a_flag_is_warned_of() -> None:
    """Every user of a machine can list its command lines."""
    assert any(
        "API_TOKEN was given as a flag" in line for line in loaded({"API_TOKEN": "x"}).warnings
    )
    assert loaded(environ={"API_TOKEN": "x"}).warnings == ()


def test_a_real_key_does_not_go_along_into_demo() -> None:
    """It is ignored, and said."""
    account = "0x" + "ab" * 20
    result = loaded(environ={"HYPERLIQUID_API_KEY": KEY, "HYPERLIQUID_ACCOUNT": account})
    assert result.settings.venue.hyperliquid_api_key is None
    assert result.settings.venue.hyperliquid_account is None
    assert len(result.warnings) == 1
    assert "HYPERLIQUID_API_KEY and HYPERLIQUID_ACCOUNT ignored" in result.warnings[0]
    assert KEY not in result.warnings[0]
