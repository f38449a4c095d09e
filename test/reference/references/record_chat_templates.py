"""What transformers makes of conversations, for tests of chat templates.

Writes test/fixtures/chat-templates.json: the conversations, small templates of our own with what they render, and for each
template of a folder (`--templates`, of others, not copied here) the length and the beginning of the sha256 of what it renders.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
from pathlib import Path
from typing import Any

import jinja2
import transformers
from transformers.utils import chat_template_utils

from .paths import ROOT

OUT = ROOT / "test" / "fixtures" / "chat-templates.json"

Json = dict[str, Any]

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather of a city; \"now\" <b>&'",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "The city"},
                    "unit": {"type": "string", "enum": ["c", "f"]},
                },
                "required": ["city"],
            },
        },
    }
]


def user(content: str) -> Json:
    return {"role": "user", "content": content}


def assistant(content: str) -> Json:
    return {"role": "assistant", "content": content}


def system(content: str) -> Json:
    return {"role": "system", "content": content}


CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {
            "type": "function",
            "id": "abcdef123",
            "function": {"name": "get_weather", "arguments": {"city": "Zürich <x>", "unit": "c"}},
        }
    ],
}
RESULT = {"role": "tool", "name": "get_weather", "tool_call_id": "abcdef123", "content": '{"t": 21.5}'}
THOUGHT = "<think>\neasy\n</think>\n\n4"

CONVERSATIONS: dict[str, Json] = {
    "one question": {"messages": [user("Hello  there, 你好 🌟\n<b>x</b>")]},
    "several turns, white space around": {
        "messages": [system("  You are kind. "), user("Hi"), assistant(" Hello!\n"), user("And now?\r\n")]
    },
    "thoughts": {"messages": [user("2+2?"), assistant(THOUGHT), user("3+3?")]},
    "thoughts under another name": {
        "messages": [user("2+2?"), assistant("4") | {"reasoning": "easy"}, user("3+3?")],
    },
    "roles out of order": {"messages": [user("a"), user("b")]},
    "tools": {"messages": [system("Be brief."), user("Weather?")], "tools": TOOLS},
    "a tool was called": {"messages": [user("Weather?"), CALL, RESULT], "tools": TOOLS},
    "an answer to go on with": {
        "messages": [user("Capital of France?"), assistant("The capital of France is")],
        "continue_final_message": True,
    },
    "an answer to go on with, after a space": {
        "messages": [system("Short."), user("Capital of France?"), assistant("  The capital of France is ")],
        "continue_final_message": True,
    },
}

# White space, line ends and what jinja2 does besides; ours, so that these are tested everywhere.
TEMPLATES = {
    "blocks take their line end and their indent": "{% for m in messages %}\n  {% if true %}\n[{{ m.role }}]\n  {% endif %}\n{% endfor %}\nend\n",
    "signs take more": "a \n {%- if true -%} \n b \n {%- endif %} c\n",
    "line ends of Windows": "{% for m in messages %}\r\n  {% if true %}\r\n[{{ m.role }}]\r\nline\r\n  {% endif %}\r\n{% endfor %}\r\nend\r\n",
    "old line ends of the Mac": "{% for m in messages %}\r[{{ m.role }}]\r{% endfor %}\rend\r",
    "a line end at the end is dropped, one": "x\n\n",
    "comments": "a\n  {# one #}\nb {# two #} c\n{#- three -#}\nd",
    "line ends in texts": "{{ 'a\\nb\\tc' }}{{ \"d\r\ne\" }}",
    "expressions keep their line end": "{{ messages[0].role }}\n{{- 'x' }}\n  {{ 'y' }}",
    "json": "{{ tools | tojson }}\n{{ messages | tojson(indent=2) }}\n{{ '你 <&\"' | tojson }}",
    "strip takes characters": "[{{ '\\n x \\n'.strip('\\n') }}][{{ ' \\nx'.lstrip('\\n') }}][{{ 'xxy x'.rstrip('x ') }}][{{ ' x '.strip() }}]",
    "methods of texts": "{{ 'a{}b{}'.format(1, 'x') }} {{ '{n}'.format(n='y') }} {{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('bc') }} {{ ', '.join(['a', 'b']) }}",
    "what is undefined, trimmed": "[{{ nothing | trim }}][{{ '  a ' | trim }}]",
    "the least and the most": "{{ [3, 1, 2] | min }}{{ [3, 1, 2] | max }}{% if [1, 2] | max == 2 %}x{% endif %}",
    "dates": "{{ strftime_now('%Y-%m-%d %d %b %Y') }}",
    "refusal": "{{ raise_exception('Only user and assistant!') }}",
    "generation tags": "{% for m in messages %}{% generation %}{{ m.role }}{% endgeneration %}{% endfor %}",
    "namespaces and loops": "{% set ns = namespace(n=0) %}{% for m in messages %}{% if loop.index0 > 5 %}{% break %}{% endif %}{% set ns.n = ns.n + 1 %}{{ loop.first }}{{ loop.last }}{% endfor %}{{ ns.n }}",
}  # fmt: skip


class FixedNow(datetime.datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> FixedNow:
        return cls(2026, 7, 4, 9, 5, 6)


def render(template: str, conversation: Json) -> Json:
    goes_on = conversation.get("continue_final_message", False)
    try:
        rendered, _ = chat_template_utils.render_jinja_template(
            conversations=[conversation["messages"]],
            tools=conversation.get("tools"),
            chat_template=template,
            add_generation_prompt=not goes_on,
            continue_final_message=goes_on,
            bos_token="<s>",
            eos_token="</s>",
        )
    except (jinja2.exceptions.TemplateError, ValueError, TypeError, KeyError) as error:
        return {"error": type(error).__name__}
    return {"text": rendered[0]}


def digest(rendered: Json) -> Json:
    if "text" not in rendered:
        return rendered
    data = rendered["text"].encode()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()[:16]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--templates", type=Path, required=True, help="folder of *.jinja")
    args = parser.parse_args()
    chat_template_utils.datetime = FixedNow
    conversation = CONVERSATIONS["several turns, white space around"] | {"tools": TOOLS}
    own = {name: {"template": text, **render(text, conversation)} for name, text in TEMPLATES.items()}
    real = {}
    for file in sorted(args.templates.glob("*.jinja")):
        source = file.read_bytes().decode()
        real[file.name] = {name: digest(render(source, given)) for name, given in CONVERSATIONS.items()}
    recorded = {
        "transformers": transformers.__version__,
        "jinja2": jinja2.__version__,
        "now": FixedNow.now().isoformat(),
        "conversations": CONVERSATIONS,
        "ownConversation": conversation,
        "own": own,
        "real": real,
    }
    OUT.write_text(json.dumps(recorded, ensure_ascii=True, indent=1) + "\n")
    print(f"{len(own)} own templates, {len(real)} real ones")


if __name__ == "__main__":
    main()
