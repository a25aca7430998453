"""Conversations that templates are rendered with, beside Jinja2 and transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Message = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a template is given."""

    messages: Sequence[Message]
    tools: Sequence[Mapping[str, object]] | None = None
    documents: Sequence[Mapping[str, object]] | None = None
    variables: Mapping[str, object] = field(default_factory=dict)


def system(content: object) -> Message:
    return {"role": "system", "content": content}


def user(content: object) -> Message:
    return {"role": "user", "content": content}


def assistant(content: object, **more: object) -> Message:
    return {"role": "assistant", "content": content, **more}


def calls(*functions: tuple[str, Any]) -> list[dict[str, object]]:
    return [
        {"id": f"call{at:05}", "type": "function", "function": {"name": name, "arguments": given}}
        for at, (name, given) in enumerate(functions)
    ]


def answer(at: int, content: object) -> Message:
    return {"role": "tool", "tool_call_id": f"call{at:05}", "name": "weather", "content": content}


WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a place, as <b>text</b> & 'more'.",
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string", "description": 'A city, e.g. "Zürich"'},
                "unit": {"type": "string", "enum": ["C", "F"], "default": "C"},
                "days": {"type": ["integer", "null"], "default": 3, "minimum": 0.5},
            },
            "required": ["place"],
        },
    },
}
NESTED = {
    "type": "function",
    "function": {
        "name": "book",
        "description": "Books a journey",
        "parameters": {
            "type": "object",
            "properties": {
                "legs": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "from": {"type": "string"},
                            "via": {"type": "array", "items": {"type": "string"}},
                            "seats": {"type": "array", "items": {"type": "integer"}},
                        },
                        "required": ["from"],
                    },
                },
                "notes": {"type": "object", "additionalProperties": {"type": "number"}},
                "fare": {"oneOf": [{"type": "number"}, {"type": "string"}], "default": 1},
                "urgent": {"type": "boolean", "default": False},
                "items": {"type": "string", "nullable": True},
            },
            "required": ["legs", "notes"],
        },
        "return": {"type": "string"},
    },
}
NO_PARAMETERS = {
    "type": "function",
    "function": {
        "name": "now",
        "description": "",
        "parameters": {"type": "object", "properties": {}, "required": []},
    },
}
TOOLS = (WEATHER, NESTED, NO_PARAMETERS)
DOCUMENTS = (
    {"title": "One", "text": "First text\nof two lines", "year": 1999},
    {"title": "Zwei", "text": "“Zweiter” 文", "tags": ["a", "b"]},
)

CONVERSATIONS: Mapping[str, Conversation] = {
    "one question": Conversation([user("Hello")]),
    "a system": Conversation([system(" Be brief. /no_think\n"), user("Hello")]),
    "turns": Conversation(
        [
            user("  What is 'é' < \"b\" & 🙂?\n"),
            assistant("A letter."),
            user("Thanks"),
            assistant(""),
        ]
    ),
    "system and turns": Conversation(
        [
            system("Be brief. "),
            user("One"),
            assistant("1\n\n2"),
            user("Two"),
            assistant("3"),
            user("?"),
        ]
    ),
    "two systems": Conversation([system("One"), system("Two"), user("Hello")]),
    "roles that do not alternate": Conversation([user("One"), user("Two"), assistant("Three")]),
    "an assistant first": Conversation([assistant("Hello?"), user("Yes")]),
    "another role": Conversation([{"role": "developer", "content": "Be brief"}, user("Hello")]),
    "empty texts": Conversation([system(""), user(""), assistant(""), user("  \n ")]),
    "unicode": Conversation(
        [
            user("日本語 \u202e\u200d 👩‍👩‍👧 \u00a0ñ\u0301 \x00\x1b ﷽ \u2028 İ ß"),
            assistant("الأردنّ"),
            user("ok"),
        ]
    ),
    "control tokens in texts": Conversation(
        [user("<|im_end|>\n<|im_start|>system\n[INST] <<SYS>> {{ bos_token }} {% raw %} </s>")]
    ),
    "reasoning": Conversation(
        [
            user("One"),
            assistant("<think>\nhm\n</think>\n\n1"),
            user("Two"),
            assistant("2", reasoning_content="Think\nhard\n"),
        ]
    ),
    "no thinking": Conversation([user("Hello")], variables={"enable_thinking": False}),
    "own variables": Conversation(
        [user("Hello")],
        documents=DOCUMENTS,
        variables={
            "controls": {"citations": True, "length": "short"},
            "reasoning_effort": "high",
            "date_string": "1 Jan 2000",
            "citation_mode": "fast",
            "thinking": True,
        },
    ),
    "parts": Conversation(
        [
            system([{"type": "text", "text": "Brief"}]),
            user(
                [{"type": "text", "text": "one "}, {"type": "image"}, {"type": "text", "text": "2"}]
            ),
            assistant([{"type": "text", "text": "three"}]),
        ]
    ),
    "tools": Conversation([user("Weather?")], tools=TOOLS),
    "tools and a system": Conversation([system("Brief"), user("Weather?")], tools=TOOLS),
    "no tools": Conversation([user("Weather?")], tools=[]),
    "a call": Conversation(
        [
            user("Weather in Zürich?"),
            assistant("", tool_calls=calls(("weather", {"place": "Zürich", "days": None}))),
            answer(0, '{"sky": "grün & <b>"}'),
            assistant("Green."),
            user("And tomorrow?"),
        ],
        tools=[WEATHER],
    ),
    "calls": Conversation(
        [
            user("Both"),
            assistant(
                None,
                tool_calls=calls(
                    ("weather", {"place": "A", "deep": {"b": [1, 2.5, True]}}), ("now", {})
                ),
            ),
            answer(0, "sun"),
            answer(1, "12:00"),
        ],
        tools=TOOLS,
    ),
    "arguments as text": Conversation(
        [
            user("x"),
            assistant("", tool_calls=calls(("weather", '{"place": "A"}'))),
            answer(0, "sun"),
        ],
        tools=[WEATHER],
    ),
    "a result of parts": Conversation(
        [
            user("x"),
            assistant("", tool_calls=calls(("weather", {"place": "A"}))),
            answer(0, [{"type": "text", "text": "sun"}]),
        ],
        tools=[WEATHER],
    ),
    "documents": Conversation([system("S"), user("Which?")], documents=DOCUMENTS),
    "documents and tools": Conversation([user("Which?")], tools=TOOLS, documents=DOCUMENTS),
    "a long one": Conversation([*(user("a"), assistant("b")) * 20, user("c")]),
}
