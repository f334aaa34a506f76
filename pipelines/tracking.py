"""The door to MLflow: runs, models as folders under a name, and which version serves. Nobody else imports it.

A model is a folder of plain files. Alias `champion` is the version that serves, `previous` the one that it replaced,
`challenger` one that is tried beside it.
"""

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read while mlflow is imported; nothing calls home
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")  # git need not be there
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # standard output is for reports

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Metric, Param
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

logging.getLogger("mlflow").setLevel(logging.WARNING)

CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous", "challenger"
EXPERIMENT = "shelfwise"
MODEL = "model"  # folder of a run's artefacts


class NoModel(LookupError):
    """No version of the model has the alias or tag that was asked for."""


@dataclass(frozen=True)
class Run:
    """A training run under way."""

    client: MlflowClient
    run_id: str

    def params(self, values: Mapping[str, object]) -> None:
        logged = [Param(name, str(value)[:6000]) for name, value in sorted(values.items())]
        self.client.log_batch(self.run_id, params=logged)

    def metrics(self, values: Mapping[str, float]) -> None:
        logged = [Metric(name, float(value), timestamp=0, step=0) for name, value in sorted(values.items())]
        self.client.log_batch(self.run_id, metrics=logged)

    def model(self, folder: Path) -> None:
        self.client.log_artifacts(self.run_id, str(folder), MODEL)


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a registered model."""

    name: str
    number: str
    run_id: str
    tags: dict[str, str]


@dataclass(frozen=True)
class Tracking:
    """MLflow at `uri`: http://…, or sqlite:///… whose artefacts lie beside the database."""

    uri: str

    @contextmanager
    def run(self, name: str, *, day: date, tables: Mapping[str, int | None]) -> Iterator[Run]:
        """A run that names the day and the version of every lake table that it reads, so it can be done again."""
        client = self._client()
        tags = {"mlflow.runName": f"{name} {day}", "day": day.isoformat(), "step": name}
        started = client.create_run(self._experiment(client), tags=tags)
        run = Run(client, started.info.run_id)
        try:
            run.params({f"table.{table}": version for table, version in tables.items()})
            yield run
        except BaseException:
            client.set_terminated(run.run_id, "FAILED")
            raise
        client.set_terminated(run.run_id)

    def register(self, name: str, run: Run, *, tags: Mapping[str, str]) -> Version:
        """The run's model as the next version of `name`."""
        client = self._client()
        try:
            client.get_registered_model(name)
        except MlflowException as error:
            if not _absent(error):
                raise
            client.create_registered_model(name)
        artefacts = client.get_run(run.run_id).info.artifact_uri
        made = client.create_model_version(name, f"{artefacts}/{MODEL}", run_id=run.run_id, tags=dict(tags))
        return _version(made)

    def version(self, name: str, alias: str) -> Version | None:
        """The version that has the alias, None when there is none."""
        try:
            found = self._client().get_model_version_by_alias(name, alias)
        except MlflowException as error:
            if error.error_code == "INVALID_PARAMETER_VALUE" or _absent(error):
                return None
            raise
        return _version(found)

    def numbered(self, name: str, number: str) -> Version:
        """The version with this number."""
        return _version(self._client().get_model_version(name, number))

    def newest(self, name: str, *, day: date) -> Version:
        """The latest version that was trained for the day."""
        of_day = self.tagged(name, "day", day.isoformat())
        if not of_day:
            raise NoModel(f"no version of {name} was trained for {day}: run step `train` first")
        return of_day[0]

    def tagged(self, name: str, tag: str, value: str) -> list[Version]:
        """Versions with this tag, the latest first."""
        found = [_version(version) for version in self._client().search_model_versions(f"name = '{name}'")]
        return sorted((one for one in found if one.tags.get(tag) == value), key=lambda one: -int(one.number))

    def promote(self, version: Version, *, day: date, reason: str) -> bool:
        """Let the version serve, unless the champion knows later days; whether it serves.

        Both keep what happened to them as tags, and `previous` names the version that was replaced.
        """
        client = self._client()
        before = self.version(version.name, CHAMPION)
        if before is not None and before.number == version.number:
            return True
        if before is not None and before.tags.get("day", "") > day.isoformat():
            self.refuse(version, day=day, reason=f"champion {before.number} knows days up to {before.tags['day']}")
            return False
        if before is not None:
            client.set_registered_model_alias(version.name, PREVIOUS, before.number)
            client.set_model_version_tag(version.name, before.number, "replaced", f"{day} by {version.number}")
        client.set_registered_model_alias(version.name, CHAMPION, version.number)
        client.set_model_version_tag(version.name, version.number, "promoted", f"{day}: {reason}")
        return True

    def measured(self, version: Version, values: Mapping[str, float]) -> None:
        """Add figures to the run that made the version."""
        Run(self._client(), version.run_id).metrics(values)

    def refuse(self, version: Version, *, day: date, reason: str) -> None:
        """Keep in the version's tags why it does not serve."""
        self._client().set_model_version_tag(version.name, version.number, "refused", f"{day}: {reason}")

    @contextmanager
    def folder(self, version: Version) -> Iterator[Path]:
        """The version's files on this machine, for as long as they are read."""
        with tempfile.TemporaryDirectory(prefix="shelfwise-model-") as scratch:
            source = f"runs:/{version.run_id}/{MODEL}"
            yield Path(download_artifacts(source, dst_path=scratch, tracking_uri=self.uri))

    def champion(self, name: str) -> Version:
        """The version that serves."""
        return self.chosen(name, CHAMPION)

    def chosen(self, name: str, alias: str) -> Version:
        """The version that has the alias."""
        found = self.version(name, alias)
        if found is None:
            raise NoModel(f"{name} has no {alias}: run `train` and `evaluate` for a day first")
        return found

    def challenge(self, name: str, number: int) -> None:
        """Let this version be the challenger."""
        try:
            self._client().set_registered_model_alias(name, CHALLENGER, str(number))
        except MlflowException as error:
            if not _absent(error):
                raise
            raise NoModel(f"{name} has no version {number}") from error

    def _client(self) -> MlflowClient:
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def _experiment(self, client: MlflowClient) -> str:
        known = client.get_experiment_by_name(EXPERIMENT)
        if known is not None:
            return str(known.experiment_id)
        # A server knows where artefacts go; a bare database would put them under the working directory.
        database = self.uri.removeprefix("sqlite:///")
        beside = None if database == self.uri else (Path(database).resolve().parent / "artifacts").as_uri()
        return str(client.create_experiment(EXPERIMENT, artifact_location=beside))


def _version(found: ModelVersion) -> Version:
    assert found.run_id, "registered from a run"
    return Version(found.name, str(found.version), found.run_id, dict(found.tags))


def _absent(error: MlflowException) -> bool:
    return bool(error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST))
