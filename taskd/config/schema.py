"""The JSON Schema of the configuration file, for editors that complete and check as one types."""

from taskd.config.forms import Form
from taskd.config.model import SETTINGS_MODEL
from taskd.config.tree import IGNORED_PREFIX


def json_schema() -> Form:
    """Return the schema of the file as a JSON document (draft 2020-12)."""
    schema = SETTINGS_MODEL.model_json_schema()
    _drop_titles(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "taskd configuration",
        **schema,
        "patternProperties": {f"^{IGNORED_PREFIX}": {"description": "A home for anchors."}},
    }


def _drop_titles(schema: object) -> None:
    """Take out the titles that pydantic makes of names: editors show them before descriptions."""
    match schema:
        case dict():
            if isinstance(schema.get("title"), str):
                del schema["title"]
            for part in schema.values():
                _drop_titles(part)
        case list():
            for part in schema:
                _drop_titles(part)
        case _:
            pass
