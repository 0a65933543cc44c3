import os
from pathlib import Path

import pytest
import yaml

from portico.crypto.keyring import generate_line
from portico.service.settings import load_settings
from support.ports import free_port


@pytest.fixture
def write_keyring(tmp_path):
    def write(name="data/keyring", line=None):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text((line or generate_line("k1")) + "\n")
        file.chmod(0o600)
        return file

    return write


@pytest.fixture
def write_config(tmp_path, write_keyring):
    """Write portico.yaml (in one step, as a careful editor does) beside a keyring; returns its path."""

    def write(document, *, keyring=True):
        if keyring and not (tmp_path / "data" / "keyring").exists():
            write_keyring()
        file = tmp_path / "portico.yaml"
        text = document if isinstance(document, str) else yaml.safe_dump(document)
        temporary = tmp_path / f".portico.yaml.{os.getpid()}"
        temporary.write_text(text)
        temporary.replace(file)
        return file

    return write


@pytest.fixture
def load(write_config):
    def load(document, **environ):
        return load_settings(Path(write_config(document)), environ=environ)

    return load


@pytest.fixture
def free_admin():
    return f"127.0.0.1:{free_port()}"
