"""The body of one request: the same question in the words that an endpoint understands.

Owns the fields of a chat completion; sends nothing and reads no answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from bot.adapters.seats.model.options import AnswerFormat, Capabilities, ModelOptions, Prompt

PATH = "/chat/completions"
# Room for what a provider adds around messages and schema: roles, separators, its own preamble.
FRAME_TOKENS = 512
_BY_SCHEMA = (
    "Answer with one JSON object and nothing else, without a code fence. It follows exactly this "
    "JSON schema: "
)


def body_of(
    options: ModelOptions, answer_format: AnswerFormat, prompt: Prompt
) -> dict[str, object]:
    """The request as JSON-able data. Stable parts come first: providers cache prefixes."""
    can = options.capabilities
    body: dict[str, object] = {
        "model": options.model,
        "messages": _messages(answer_format, prompt),
        **_shape(answer_format, prompt, can),
        can.max_tokens_field: can.max_output_tokens,
    }
    if can.temperature is not None:
        body["temperature"] = can.temperature
    if can.seed is not None:
        body["seed"] = can.seed
    body.update(can.extra_body)
    return body


def size_of(body: Mapping[str, object]) -> int:
    """Bytes that may become tokens: no tokenizer makes more tokens than there are bytes."""
    return len(_text(body).encode()) + FRAME_TOKENS


def hash_of(base_url: str, body: Mapping[str, object]) -> str:
    """Names every byte that the model sees, with endpoint, model and parameters."""
    return hashlib.sha256(f"{base_url}\n{_text(body)}".encode()).hexdigest()


def _text(body: Mapping[str, object]) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def _messages(answer_format: AnswerFormat, prompt: Prompt) -> list[dict[str, str]]:
    system = prompt.system
    if answer_format is AnswerFormat.JSON_OBJECT:  # the endpoint is not given the schema itself
        system = f"{system}\n\n{_BY_SCHEMA}{_text(prompt.schema)}"
    return [{"role": "system", "content": system}, {"role": "user", "content": prompt.user}]


def _shape(answer_format: AnswerFormat, prompt: Prompt, can: Capabilities) -> dict[str, object]:
    strict = {"strict": True} if can.strict else {}
    match answer_format:
        case AnswerFormat.JSON_SCHEMA:
            schema = {"name": prompt.schema_name, **strict, "schema": prompt.schema}
            return {"response_format": {"type": "json_schema", "json_schema": schema}}
        case AnswerFormat.TOOL:
            function = {
                "name": prompt.schema_name,
                "description": "Give the answer.",
                **strict,
                "parameters": prompt.schema,
            }
            return {
                "tools": [{"type": "function", "function": function}],
                "tool_choice": {"type": "function", "function": {"name": prompt.schema_name}},
            }
        case AnswerFormat.JSON_OBJECT:
            return {"response_format": {"type": "json_object"}}
