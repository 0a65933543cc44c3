"""The package for Lambda: the same bytes from the same files, whatever their times and order."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKE_ZIP = ROOT / "deploy" / "aws" / "make_zip.py"


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "root"
    for name, text in {"portico/a.py": "x = 1\n", "portico/b/__init__.py": "", "data.json": "{}"}.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(text)
    for unwanted in ("bin/portico", "portico/__pycache__/a.cpython-39.pyc"):
        (made / unwanted).parent.mkdir(parents=True, exist_ok=True)
        (made / unwanted).write_text("old")
    return made


def packed(folder, package, *compiler):
    subprocess.run([sys.executable, MAKE_ZIP, folder, package, *compiler], check=True, timeout=60)
    return package.read_bytes()


@pytest.mark.parametrize("compiler", [(), (sys.executable,)], ids=["sources", "compiled"])
def test_the_same_files_give_the_same_bytes(folder, tmp_path, compiler):
    again = tmp_path / "again"
    shutil.copytree(folder, again)
    for path in again.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    assert packed(folder, tmp_path / "1.zip", *compiler) == packed(again, tmp_path / "2.zip", *compiler)


def test_command_lines_and_foreign_bytecode_are_left_out(folder, tmp_path):
    packed(folder, tmp_path / "1.zip")
    with zipfile.ZipFile(tmp_path / "1.zip") as archive:
        assert archive.namelist() == ["data.json", "portico/a.py", "portico/b/__init__.py"]


def test_compiled_modules_run_without_being_compiled_again(folder, tmp_path):
    packed(folder, tmp_path / "1.zip", sys.executable)
    place = tmp_path / "place"
    with zipfile.ZipFile(tmp_path / "1.zip") as archive:
        archive.extractall(place)
    show = "import sys, portico.a; print(portico.a.__cached__, portico.a.x)"
    ran = subprocess.run(
        [sys.executable, "-B", "-S", "-v", "-c", f"import sys; sys.path[:0] = [{str(place)!r}]; {show}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ran.stdout.split()[1] == "1"
    assert f"code object from '{place}/portico/__pycache__/" in ran.stderr


def test_a_package_that_lambda_would_refuse_is_not_made(folder, tmp_path):
    with (folder / "large.bin").open("wb") as file:
        file.truncate(251 * 1024**2)
    command = [sys.executable, MAKE_ZIP, folder, tmp_path / "1.zip"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert "more than a function may have" in done.stderr
    assert not (tmp_path / "1.zip").exists()


def test_the_script_is_in_order():
    subprocess.run(["bash", "-n", str(ROOT / "deploy" / "aws" / "package.sh")], check=True, timeout=10)


def test_every_package_is_pinned_with_its_hash():
    lines = (ROOT / "scripts" / "locks" / "lambda.lock").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith((" ", "#"))]
    assert any(line.startswith("mangum==") for line in pins)
    assert all("==" in line and line.endswith("\\") for line in pins)
