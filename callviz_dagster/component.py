"""callviz as a Dagster Component: the settings in the YAML of a `defs.yaml`, their schema and errors, the scaffold.

The keys and their texts are derived from `Settings`. What belongs elsewhere: what a setting means and takes
(`settings.py`), and what is built from them (`definitions.py`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import difflib
import functools
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster.components import Scaffolder, ScaffoldRequest, scaffold_component, scaffold_with
from pydantic import BaseModel, Field, ValidationError, create_model, model_validator

from callviz_dagster.settings import PREFIX, MissingSettingError, Settings, SettingsError

if TYPE_CHECKING:
    from pydantic_core import InitErrorDetails

GROUPS = {"mongo": "mongo_", "fields": "field_", "tableau": "tableau_"}
"""Keys of `attributes` for the settings whose names start with the prefix; every other setting is a key itself."""

_GROUP_MEANINGS = {
    "mongo": "The collection that holds the calls.",
    "fields": "The document field for each role, where it should not be recognized.",
    "tableau": "The Tableau lineage, and publishing to Tableau Server or Tableau Cloud.",
}
_TAKES = {
    bool: "true or false",
    dt.date: "a date, for example 2024-01-01",
    float: "a number",
    int: "a whole number",
    list: "a list of names",
    str: "text: put the value in quotes",
}
_NOT_SHOWN = "not shown"
_FOLDERS = ("data_dir", "publish_dir")


def yaml_path(setting: str) -> tuple[str, ...]:
    """Return where a field of `Settings` stands in `attributes`: `mongo_uri` at `mongo`, `uri`."""
    for group, prefix in GROUPS.items():
        if setting.startswith(prefix):
            return group, setting.removeprefix(prefix)
    return (setting,)


_PATHS = {setting.metadata["name"]: yaml_path(setting.name) for setting in dataclasses.fields(Settings)}


def in_yaml_keys(text: str) -> str:
    """Return a text about settings with the keys of `attributes` in place of the names of environment variables."""
    return re.sub(rf"{PREFIX}\w+", lambda match: ".".join(_PATHS[match[0]]) if match[0] in _PATHS else match[0], text)


def _yaml_type(annotation: Any) -> type:
    """Return the type that the value of a setting has in YAML."""
    alternatives = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    value = next(each for each in alternatives if each is not types.NoneType)
    if typing.get_origin(value) is tuple:
        return list
    return value if value in _TAKES else str


_TYPES = {yaml_path(name): _yaml_type(annotation) for name, annotation in typing.get_type_hints(Settings).items()}


class _Attributes(dg.Model):
    """Explains what is wrong with the keys and types below `attributes`; Dagster adds the file and the line."""

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, given: Any, validate: Callable[[Any], Any]) -> Any:
        try:
            return validate(given)
        except ValidationError as error:
            raise ValidationError.from_exception_data(error.title, list(_explained(error))) from None

    @classmethod
    def model_json_schema(cls, *args: Any, **options: Any) -> dict[str, Any]:
        """Return the schema without alternatives: of those, `dg` only says that a value, which it prints, fits none."""
        schema = super().model_json_schema(*args, **options)
        groups = schema.pop("$defs")
        for name, member in schema["properties"].items():
            members = groups[name]["properties"].values() if name in GROUPS else [member]
            for each in members:
                each |= _merged(each.pop("anyOf"))
            if name in GROUPS:
                member.pop("anyOf")
                member |= groups[name] | {"type": ["object", "null"], "description": member["description"]}
        return schema


def _merged(alternatives: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return one schema that allows several types."""
    allowed = [each["type"] for each in alternatives]
    return {key: value for each in alternatives for key, value in each.items()} | {"type": [*dict.fromkeys(allowed)]}


def _explained(error: ValidationError) -> Iterator[InitErrorDetails]:
    """Yield one error for each key, with what is allowed there; the values, which may be secret, are left out."""
    seen = set()
    for details in error.errors(include_url=False, include_context=False, include_input=False):
        path = tuple(details["loc"])[: 2 if details["loc"][:1] and details["loc"][0] in GROUPS else 1]
        if path not in seen:
            seen.add(path)
            unknown = details["type"] == "extra_forbidden"
            message = _unknown_key(path) if unknown else _wrong_type(path)
            yield {"type": "value_error", "loc": path, "input": _NOT_SHOWN, "ctx": {"error": ValueError(message)}}


def _keys_beside(path: Sequence[int | str]) -> list[str]:
    """Return the keys that the group or `attributes` allows where the path ends."""
    group = tuple(path[:-1])
    return list(dict.fromkeys(str(key[len(group)]) for key in _PATHS.values() if key[: len(group)] == group))


def _unknown_key(path: Sequence[int | str]) -> str:
    keys = _keys_beside(path)
    near = difflib.get_close_matches(str(path[-1]), keys, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return (
        f"{'.'.join(map(str, path))} is not a setting of callviz.{hint} The keys here are: {', '.join(sorted(keys))}."
    )


def _wrong_type(path: Sequence[int | str]) -> str:
    takes = (
        _TAKES[_TYPES[tuple(map(str, path))]] if path in _TYPES else f"the keys {', '.join(_keys_beside([*path, '']))}"
    )
    return f"{'.'.join(map(str, path))} takes {takes}."


@functools.cache
def _attributes_model() -> type[BaseModel]:
    """Return the model of `attributes`, whose JSON schema `dg` and editors show. No default is in it but `null`."""
    groups: dict[str, dict[str, Any]] = {group: {} for group in GROUPS}
    keys: dict[str, Any] = {}
    for setting in dataclasses.fields(Settings):
        path = yaml_path(setting.name)
        value_type: Any = _TYPES[path]
        # A text may hold a template in place of any value.
        annotation = (list[str] if value_type is list else value_type) | str | None
        text = in_yaml_keys(f"{setting.metadata['meaning']}. Default: {setting.metadata['default']}.")
        members = groups[path[0]] if len(path) > 1 else keys
        members[path[-1]] = (annotation, Field(default=None, description=text[0].upper() + text[1:]))
        keys.setdefault(path[0], None)
    for group, members in groups.items():
        model: Any = create_model(group, __base__=dg.Model, **members)
        keys[group] = (model | None, Field(default=None, description=_GROUP_MEANINGS[group]))
    return create_model("CallvizComponent", __base__=_Attributes, **keys)


class CallvizScaffolder(Scaffolder):
    """Writes the `defs.yaml` of `dg scaffold defs callviz_dagster.CallvizComponent NAME`."""

    def scaffold(self, request: ScaffoldRequest) -> None:
        """Write it, with the connection string in an environment variable named after the folder."""
        name = re.sub(r"\W", "_", request.target_path.name).upper()
        attributes = {"mongo": {"uri": f"{{{{ env.{name}_MONGO_URI }}}}", "collection": "calls"}, "timezone": "UTC"}
        scaffold_component(request, attributes)


@scaffold_with(CallvizScaffolder)
@dataclass
class CallvizComponent(dg.Component, dg.Resolvable):
    """Phone calls of a MongoDB collection, as calls.csv, a Tableau workbook and a page with five charts.

    Assets, checks, a job, a sensor and a schedule, all named after the component's folder below `defs`: in
    `support_calls`, the assets' keys begin with it, and the job is `refresh_support_calls`. A code location holds as
    many as there are collections. Relative folders start at the project's folder; by default, files go to
    `.callviz/support_calls` and `tableau/support_calls`. The environment is read only where a template such as
    `{{ env.SUPPORT_MONGO_URI }}` does.
    """

    settings: Settings = field(default_factory=Settings)
    name: str = ""
    """Of the collection in its code location, and the prefix of its assets' keys."""

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        """Return what `dg` lists beside the schema."""
        return dg.ComponentTypeSpec(
            tags=["mongodb", "tableau"], produces=["asset", "asset_check", "job", "schedule", "sensor"]
        )

    @classmethod
    def model(cls) -> type[BaseModel]:
        """Return the model of `attributes`."""
        return _attributes_model()

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> CallvizComponent:
        """Return the component of a `defs.yaml`, named after its folder, with files in folders of that name."""
        component = super().load(attributes, context)
        folder = context.path.relative_to(context.defs_module_path)
        name = re.sub(r"\W", "_", "_".join(folder.parts), flags=re.ASCII)
        given = attributes.model_dump(exclude_none=True) if attributes else {}
        settings = component.settings
        own: dict[str, Any] = {
            setting: getattr(settings, setting) / name for setting in _FOLDERS if setting not in given
        }
        if "name" not in given.get("tableau", {}):
            own["tableau_name"] = name
        return dataclasses.replace(component, name=name, settings=dataclasses.replace(settings, **own))

    @classmethod
    def resolve_from_model(cls, context: dg.ResolutionContext, model: BaseModel) -> CallvizComponent:
        """Return the component for `attributes`, with the templates in them replaced by their values.

        Raises:
            SettingsError: a value is not allowed, or one setting needs another; names file, line and key.
        """
        values = context.resolve_value(model.model_dump(exclude_none=True))
        try:
            return cls(_settings(values))
        except SettingsError as error:
            raise type(error)(f"{_position(context, str(error))}{in_yaml_keys(str(error))}") from None

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return what `build_definitions` returns for the settings.

        Raises:
            MissingSettingError: there is no connection string.
            SettingsError: another callviz component of the code location has the same name, or a folder of this one.
        """
        from callviz_dagster.definitions import build_definitions

        self._require_own(context)
        if not self.settings.mongo_uri:
            raise MissingSettingError(
                f"{context.path}: mongo.uri is not set: give it the connection string of MongoDB, for example "
                '"{{ env.SUPPORT_MONGO_URI }}", and set that variable where Dagster runs.'
            )
        settings = self.placed_settings(context.project_root)
        return build_definitions(settings, name=self.name, key_prefix=self.name or None)

    def placed_settings(self, project_root: Path) -> Settings:
        """Return the settings with the folders where they are; relative ones start at the project's folder."""
        folders = {name: getattr(self.settings, name) for name in (*_FOLDERS, "workbook")}
        placed = {name: project_root / folder for name, folder in folders.items() if folder}
        return dataclasses.replace(self.settings, **placed)

    def _require_own(self, context: dg.ComponentLoadContext) -> None:
        """Require that no other callviz component of the code location has this one's name or a folder of it.

        Raises:
            SettingsError: one has.
        """
        components = context.component_tree.get_all_components(of_type=CallvizComponent)
        if [other.name for other in components].count(self.name) > 1:
            raise SettingsError(f"{context.path}: two callviz components are named {self.name}: rename a folder.")
        for setting in _FOLDERS:
            folder = getattr(self.settings, setting)
            places = {
                other.name: (context.project_root / getattr(other.settings, setting)).resolve() for other in components
            }
            sharing = sorted(name for name, place in places.items() if place == places[self.name])
            if len(sharing) > 1:
                raise SettingsError(
                    f"{context.path}: {setting} is {folder} in {' and in '.join(sharing)}, and their files would "
                    f"overwrite each other: give each a {setting} of its own, or leave it out."
                )


def _settings(values: Mapping[str, Any]) -> Settings:
    """Return the settings for the values of `attributes`, which are checked as those of the environment are."""
    environment = {}
    for variable, path in _PATHS.items():
        value: Any = values
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None:
            environment[variable] = _as_text(value)
    return Settings.load(environment)


def _as_text(value: Any) -> str:
    """Return a value as an environment variable would hold it."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _position(context: dg.ResolutionContext, message: str) -> str:
    """Return file and line of the first setting that a message names and the file has, else of `attributes`."""
    tree = context.source_position_tree
    if not tree:
        return ""
    paths = [[*context.path, *_PATHS[name]] for name in re.findall(rf"{PREFIX}\w+", message) if name in _PATHS]
    positions = [position for path in paths if (position := tree.lookup(path))]
    position = positions[0] if positions else tree.lookup_closest_and_path(context.path, None)[0]
    return f"{position}: "
