"""Which collection a command acts on, and in which Dagster instance.

The collection is that of the environment and the `.env` file or, with `--name`, of a callviz component of the dg
project in the current folder.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from callviz_dagster.local.instance import own_dagster_home
from callviz_dagster.setting_values.connection_string import redact
from callviz_dagster.settings import Settings, SettingsError

if TYPE_CHECKING:
    import dagster as dg

    from callviz_dagster.names import Names


@dataclass(frozen=True)
class ChosenCollection:
    """The collection that a command acts on."""

    settings: Settings
    name: str = ""
    """Of the component in its project; empty for the collection of the environment."""

    @property
    def names(self) -> Names:
        """The names of its definitions in Dagster."""
        from callviz_dagster.names import names_of

        return names_of(self.name, self.name or None)


def chosen_collection(name: str) -> ChosenCollection:
    """Return the collection of the environment, or that of the component with this name in the current dg project.

    Raises:
        SettingsError: a setting is not allowed, or there is no such component.
    """
    return _of_component(name) if name else ChosenCollection(Settings.load())


def _of_component(name: str) -> ChosenCollection:
    import dagster as dg
    import yaml
    from dagster.components.core.component_tree import ComponentTreeException

    from callviz_dagster.component import CallvizComponent

    project = Path.cwd()
    # A project that is not installed is imported from where create-dagster puts its package.
    sys.path[:0] = [str(project / "src"), str(project)]
    try:
        tree = dg.ComponentTree.for_project(project)
        components = tree.get_all_components(of_type=CallvizComponent)
    except (ComponentTreeException, yaml.YAMLError) as error:
        raise SettingsError(_root_cause(error)) from None
    except (dg.DagsterError, ImportError) as error:
        raise SettingsError(f"--name needs a dg project in the current folder: {error}") from None
    found = {component.name: component for component in components}
    if name not in found:
        listed = ", ".join(sorted(found)) or "none"
        raise SettingsError(f"--name {name}: this project has no callviz component of that name; it has {listed}.")
    return ChosenCollection(found[name].placed_settings(tree.project_root), name)


def _root_cause(error: BaseException) -> str:
    """Return the message of the first cause, without lines of a YAML file, which may hold a password."""
    import yaml

    while error.__cause__:
        error = error.__cause__
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        place = f"{mark.name}:{mark.line + 1}" if mark else "A file of this project"
        return f"{place} is not YAML that can be read: look at its quotes, brackets and indentation."
    return str(error).strip()


def dagster_home(*, quiet: bool = False) -> Path:
    """Return the folder of the Dagster instance, and put it into the environment; print it where none is named there.

    Raises:
        FileError: there is none, and none can be made in the current folder.
    """
    given = os.environ.get("DAGSTER_HOME")
    if given:
        return Path(given)
    home = own_dagster_home()
    if not quiet:
        sys.stderr.write(f"DAGSTER_HOME is not set: this uses {home}.\n")
    os.environ["DAGSTER_HOME"] = str(home)
    return home


def dagster_instance(*, quiet: bool = False) -> dg.DagsterInstance:
    """Return the Dagster instance of `dagster_home`.

    Raises:
        SettingsError: it cannot be opened.
        FileError: see `dagster_home`.
    """
    import dagster as dg

    home = dagster_home(quiet=quiet)
    try:
        return dg.DagsterInstance.from_config(str(home))
    except Exception as error:  # noqa: BLE001  # a storage is any class that dagster.yaml names, and raises what it likes
        cause = redact(" ".join(_root_cause(error).split()))
        # Dagster repeats the whole configuration that it would take.
        in_configuration = re.search(r"Error 1: (.*?)(?= Expected: | Stack Trace: |$)", cause)
        cause = in_configuration[1] if in_configuration else cause
        raise SettingsError(f"The Dagster instance in {home} cannot be opened: {cause}") from None
