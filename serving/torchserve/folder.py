"""The files of one TorchServe instance: model store, configuration and temporary files, in one temporary folder.

Two instances can thus run on one host, and stopping one leaves no files behind.
"""

import json
import shutil
import socket
import tempfile
import zipfile
from pathlib import Path

import yaml

from serving.core.errors import ModelFileError
from serving.core.graph import MODEL_NAME
from serving.torchserve.options import LOOPBACK, Options

_SETTINGS = Path(__file__).with_name("config.properties")


class Folder:
    """A temporary folder with everything that TorchServe is started with.

    Attributes:
        path: the folder.
        store: the model store.
        model: the unpacked archive in it, with the options written into its model config.
        temporary: where TorchServe creates its sockets and its own copies.
        settings: its `config.properties`.
    """

    def __init__(self, options: Options) -> None:
        """Create the folder.

        Raises:
            ModelFileError: the file is not a model archive of this project.
        """
        # The path is short because the workers' sockets are in it, and a socket's path may have about 100 characters.
        self.path = Path(tempfile.mkdtemp(prefix="inpaint-ts-"))
        self.store, self.temporary = self.path / "store", self.path / "tmp"
        self.model, self.settings = self.store / MODEL_NAME, self.path / "config.properties"
        try:
            _unpack(options, self.model)
            self.temporary.mkdir()
            self.settings.write_text(_properties(options), encoding="utf-8")
        except BaseException:
            self.remove()
            raise

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.path, ignore_errors=True)


def _unpack(options: Options, folder: Path) -> None:
    """Unpack the archive and write the options into its model config. TorchServe accepts a folder as an archive."""
    try:
        with zipfile.ZipFile(options.mar) as archive:
            archive.extractall(folder)
        manifest = json.loads((folder / "MAR-INF" / "MANIFEST.json").read_bytes())
        config_file = folder / manifest["model"]["configFile"]
        config = dict(yaml.safe_load(config_file.read_bytes()))
    except (OSError, ValueError, TypeError, LookupError, zipfile.BadZipFile, yaml.YAMLError) as error:
        raise ModelFileError(
            f"{options.mar} is not a model archive of this project ({error}): create one with `python -m export mar`."
        ) from error
    config["minWorkers"] = config["maxWorkers"] = options.workers
    config["threads"] = options.threads
    config["deviceType"] = "gpu" if options.gpu else "cpu"
    config_file.write_text(yaml.safe_dump(config), encoding="utf-8")


def _properties(options: Options) -> str:
    """Return the project's configuration followed by the options: of a duplicate key, the last value applies."""
    settings = {
        "inference_address": f"http://{options.host}:{options.port}",
        "management_address": f"http://{LOOPBACK}:{options.management_port}",
        "metrics_address": f"http://{options.host}:{options.metrics_port}",
        "initial_worker_port": _free_port(),
        "number_of_gpu": options.workers if options.gpu else 0,
    }
    lines = [f"{name}={value}" for name, value in settings.items()]
    return "\n".join([_SETTINGS.read_text(encoding="utf-8"), *lines, ""])


def _free_port() -> int:
    """Return a port for the first worker. With Unix sockets, as on Linux, it is only part of the socket's name."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
