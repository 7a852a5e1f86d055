"""The text of `.env.example`, made from the declared settings.

Knows no value of a running Keel.
"""

from __future__ import annotations

import tomllib

from config.fields import Known
from config.guarding import Breakers, Care
from config.layers import PROFILES, profile_names
from config.models import Council, Models
from config.sections import Demo, Gates, General, Risk, Signals, Venue, Web
from config.settings import Settings, known

HEAD = """\
# Every setting of Keel. Copy this file to .env and take the # off what you want to change.
#
# Later wins: built-in default, profile, .env, environment, command line (--max-leverage 3).
# *_PERCENT and *_CONFIDENCE are fractions: 0.07 is 7 %.
# "by profile" lists where a profile differs; what is set here overrides every profile.
# Made by: python -m config --write-env-example
"""

_SECTIONS = {
    kind.__name__: kind.__doc__
    for kind in (General, Web, Demo, Venue, Signals, Gates, Risk, Breakers, Care, Council, Models)
}


def env_example() -> str:
    """`.env.example`: each setting with default, unit and meaning, all commented out."""
    by_profile = {
        name: tomllib.loads((PROFILES / f"{name}.toml").read_text(encoding="utf-8"))
        for name in profile_names()
    }
    parts = [HEAD]
    section = ""
    for setting in known().values():
        if setting.section != section:
            section = setting.section
            kind = Settings.model_fields[section].annotation
            parts.append(f"# --- {_SECTIONS[getattr(kind, '__name__', '')]}\n")
        parts.append(_entry(setting, by_profile))
    return "\n".join(parts)


def _entry(setting: Known, by_profile: dict[str, dict[str, object]]) -> str:
    unit = f" ({setting.unit})" if setting.unit else ""
    lines = [f"# {setting.meaning}{unit}", f"# Allowed: {setting.allowed}."]
    if setting.shown:
        lines.append(f"# Default: {setting.shown}.")
    given = {
        name: values[setting.name] for name, values in by_profile.items() if setting.name in values
    }
    if given:
        lines.append("# By profile: " + "; ".join(f"{n} {text(v)}" for n, v in given.items()) + ".")
    default = "" if setting.shown or setting.secret else text(setting.default)
    return "\n".join([*lines, f"#{setting.name}={default}", ""])


def text(value: object) -> str:
    """A value as it is written in `.env`."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(str(item) for item in value)
    if isinstance(value, float):
        return f"{value:.10g}" if value != int(value) else f"{int(value)}"
    return str(value)
