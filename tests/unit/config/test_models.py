"""The council's settings: off until switched on, keys checked and hidden, prices known."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from bot.app.models import _price, options_of
from bot.domain.errors import ConfigError
from bot.domain.prices import PriceBook
from bot.runtime.clock import ManualClock
from config.catalogue import NAMES, SHIPPED, Overrides, is_home, read_catalogue
from config.models import Models, chosen
from tests.unit.adapters.seats.given import NOW
from tests.unit.config.given import loaded, one_problem, settings

CLOCK = ManualClock(NOW)
KEYS = {
    "openai": "sk-" + "a" * 40,
    "deepseek": "sk-" + "0a" * 16,
    "grok": "xai-" + "a" * 40,
    "qwen": "sk-" + "a" * 32,
    "anthropic": "sk-ant-api03-" + "a" * 40,
    "gemini": "AIza" + "a" * 35,
    "openrouter": "sk-or-v1-" + "a" * 40,
    "ollama": "",
    "vllm": "",
}


def on(name: str, **more: str) -> dict[str, str]:
    given = {f"ENABLE_{name.upper()}": "true", **more}
    return given | ({f"{name.upper()}_API_KEY": KEYS[name]} if KEYS[name] else {})


def test_nine_models_ship_and_none_is_asked_unasked() -> None:
    """A key in the environment alone never spends money."""
    assert set(SHIPPED) == set(KEYS)
    given = {f"{name.upper()}_API_KEY": key for name, key in KEYS.items() if key}
    assert chosen(loaded(environ=given).settings) == ()


@pytest.mark.parametrize("name", KEYS)
def test_each_shipped_model_can_be_switched_on(name: str) -> None:
    """With its key, at its own address, with a price; in demo the market then runs in real time."""
    found = loaded(environ=on(name)).settings
    (one,) = chosen(found)
    assert (one.name, one.base_url, one.model) == (
        name,
        SHIPPED[name].base_url,
        SHIPPED[name].model,
    )
    assert found.demo.demo_speed == 1.0
    assert KEYS[name] == "" or KEYS[name] not in repr(found) + found.model_dump_json()


def test_the_market_keeps_its_speed_where_it_is_said() -> None:
    """A default gives way to every other source."""
    assert loaded({"DEMO_SPEED": "20"}, on("openai")).settings.demo.demo_speed == 20.0
    assert settings({}).demo.demo_speed == 60.0


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"ENABLE_OPENAI": "true"}, "OPENAI_API_KEY is not set"),
        (on("openai", OPENAI_MODEL="gpt-99"), "no price of 'gpt-99' is known"),
        (on("grok", GROK_BASE_URL="http://models.example/v1"), "https://"),
        (on("grok", GROK_BASE_URL="https://user:secret@models.example"), "without a user"),
        (on("grok", GROK_BASE_URL="https://models.example/v1?key=secret"), "without ?, #"),
        (on("grok", GROK_BASE_URL="https://models.example:99999/v1"), "Port out of range"),
        (on("vllm", VLLM_BASE_URL="http://127.0.0.1:8000/v1"), "Keel's own page"),
        (
            {
                "ENABLE_OLLAMA": "true",
                "ENABLE_VLLM": "true",
                "VLLM_BASE_URL": "http://127.0.0.1:11434/v1/",
                "VLLM_MODEL": "qwen3:8b",
            },
            "one model has one vote",
        ),
        ({"OPENAI_API_KEY": "sk with a space"}, "OPENAI_API_KEY: (hidden)"),
        ({"COUNCIL_DEADLINE_SECONDS": "0"}, "from 1 to 600"),
        ({"MODEL_ATTEMPT_SECONDS": "120"}, "above COUNCIL_DEADLINE_SECONDS"),
        ({"COUNCIL_MIN_SHARE": "0.4"}, "from 0.5 to 1"),
        ({"LATE_ANSWERS_AT_ONCE": "101"}, "from 0 to 100"),
        ({"COUNCIL_PROMPT": "council-v0"}, "allowed is one of council-v1"),
        ({"AI_BUDGET_PER_DAY_USD": "-1"}, "AI_BUDGET_PER_DAY_USD"),
    ],
)
def test_what_cannot_be_asked_is_one_clear_line(given: dict[str, str], says: str) -> None:
    """Which setting, what was found, what to do."""
    assert says in one_problem(given)


@pytest.mark.parametrize("name", [name for name, key in KEYS.items() if key])
def test_a_key_of_another_provider_is_told_and_hidden(name: str) -> None:
    """Keys are easily swapped; at an address of one's own they may look like anything."""
    wrong = "nokey-" + "z" * 15
    given = on(name) | {f"{name.upper()}_API_KEY": wrong}
    line = one_problem(given)
    assert "is not a key of" in line and wrong not in line
    own = given | {f"{name.upper()}_BASE_URL": "http://127.0.0.1:9000/v1"}
    assert len(chosen(loaded(environ=own).settings)) == 1


ELSEWHERE = "https://api.together.xyz/v1"


@pytest.mark.parametrize("name", KEYS)
def test_an_address_where_somebody_else_bills_has_no_price(name: str) -> None:
    """Free on one's own machine is not free elsewhere, nor does a relay bill what another does."""
    line = one_problem(on(name, **{f"{name.upper()}_BASE_URL": ELSEWHERE}))
    assert f"{name.upper()}_BASE_URL: no price at '{ELSEWHERE}' is known" in line
    assert 'host = "api.together.xyz"' in line and f"[{name}]" in line


@pytest.mark.parametrize(
    ("base_url", "home"),
    [
        ("http://127.0.0.1:8002/v1", True),
        ("http://localhost/v1", True),
        ("http://[::1]:8002/v1", True),
        ("https://10.0.0.7/v1", True),
        ("https://192.168.1.7:8443/v1", True),
        ("https://100.64.3.2/v1", True),  # a network over networks (RFC 6598)
        ("https://[fd00::7]/v1", True),
        ("https://GPU.local/v1", True),
        ("https://8.8.8.8/v1", False),
        ("https://[::ffff:8.8.8.8]/v1", False),
        ("https://[2001:4860:4860::8888]/v1", False),
        ("https://134744072/v1", False),  # 8.8.8.8 in another spelling
        ("https://local/v1", False),
        ("https://10.0.0.7.nip.io/v1", False),
    ],
)
def test_only_a_network_of_ones_own_is_free(base_url: str, home: bool) -> None:
    """What is not plainly at home is somebody else's."""
    assert is_home(base_url) is home
    assert bool(SHIPPED["vllm"].priced(base_url)) is home


def test_a_price_that_names_its_host_holds_there_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way to a relay: its own price, at 0 where it is free, and the others as they were."""
    shipped = SHIPPED["openai"]
    there = shipped.prices[0].model_copy(update={"host": "Relay.example", "input": Decimal(9)})
    relayed = shipped.model_copy(update={"prices": (*shipped.prices, there)})
    monkeypatch.setattr("config.models.SHIPPED", {**SHIPPED, "openai": relayed})
    for base_url, prices in (
        ("https://relay.example/v1", (there,)),
        ("https://API.openai.com:443/v1", shipped.prices),
        ("http://127.0.0.1:9000/v1", shipped.prices),
    ):
        (one,) = chosen(loaded(environ=on("openai", OPENAI_BASE_URL=base_url)).settings)
        assert one.prices == prices
    unpriced = on("openai", OPENAI_BASE_URL="https://relay.example/v1", OPENAI_MODEL="gpt-5.5")
    assert "OPENAI_MODEL: no price of 'gpt-5.5' is known" in one_problem(unpriced)


def test_one_model_of_a_table_may_want_it_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parameters that the others take and it refuses; the others keep theirs."""
    wants = Overrides(extra_body={"a": 1}, leave_out=("temperature", "seed"))
    qwen = SHIPPED["qwen"].model_copy(update={"overrides": {"qwen3-max": wants}})
    monkeypatch.setattr("config.models.SHIPPED", {**SHIPPED, "qwen": qwen})
    (other,) = options_of(loaded(environ=on("qwen", QWEN_MODEL="qwen3-max")).settings, CLOCK)
    can = other.capabilities
    assert (can.temperature, can.seed, can.extra_body) == (None, None, {"a": 1})
    (plain,) = options_of(loaded(environ=on("qwen")).settings, CLOCK)
    can = plain.capabilities
    assert (can.temperature, can.seed) == (0, 7)
    assert can.extra_body == {"enable_thinking": False}
    warmer = qwen.model_copy(update={"overrides": {"qwen-plus": Overrides(temperature=1)}})
    assert warmer.of_model("qwen-plus").temperature == 1
    assert warmer.of_model("qwen-plus").seed == 7


def test_a_cached_token_is_never_booked_below_what_is_known() -> None:
    """DeepSeek's cheap cache is the price of a quiet hour, beside input of a busy one."""
    for model in SHIPPED["deepseek"].priced():
        price = PriceBook([_price(entry) for entry in SHIPPED["deepseek"].prices]).at(model, NOW)
        assert price.cached == price.input


def test_every_price_says_where_it_was_read() -> None:
    """Nobody can check a number without it."""
    for shipped in SHIPPED.values():
        assert all(len(entry.source) > 5 for entry in shipped.prices)


def test_every_switch_is_a_setting() -> None:
    """A table of models.toml without its settings could never be switched on."""
    assert tuple(SHIPPED) == NAMES
    for name in SHIPPED:
        wanted = {f"enable_{name}", f"{name}_api_key", f"{name}_base_url", f"{name}_model"}
        assert wanted <= set(Models.model_fields)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[x", "cannot be read"),
        ('[mistral]\ntitle = "X"\n', "models.toml [mistral]: no settings of that name exist"),
        ("", "models.toml: [openai] is missing"),
        ('[x]\ntitle = "X"\n', "[x] base_url"),
        ("[x]\nprice = 1\n", "[x] price"),
        (
            '[x]\ntitle = "X"\nbase_url = "https://x.example/v1"\nmodel = "m"\nformats = ["tool"]\n'
            'max_output_tokens = 500\nprices = [{ model = "*", effective_from = 2026-01-01, '
            'input = "0", output = "0", source = "mine" }]\n',
            "every model at 0 needs a host",
        ),
    ],
)
def test_a_broken_catalogue_is_a_line(tmp_path: Path, text: str, says: str) -> None:
    """An edited price with a slip in it never starts."""
    file = tmp_path / "models.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_catalogue(file)
    assert says in str(caught.value)
