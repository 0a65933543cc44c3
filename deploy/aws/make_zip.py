"""Make the function's package of a folder: the same files give the same bytes, whenever and by whomever it is made.

Run by package.sh: ``make_zip.py FOLDER ZIP [PYTHON]``; PYTHON compiles the modules for its own version.
"""

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

#: Of a function, its layers included (docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
MAX_UNPACKED_BYTES: Final = 250 * 1024**2
EPOCH: Final = (1980, 1, 1, 0, 0, 0)  #: the oldest time that the format knows
MODE: Final = 0o100644 << 16
NOT_NEEDED: Final = {"__pycache__", "bin"}  #: folders: bytecode of another place, and command lines


def main(folder: Path, package: Path, compiler: str) -> None:
    """Write ``package``, and say how large it is."""
    files = chosen(folder)
    if compiler:
        compile_all(folder, compiler)
        files = sorted([*files, *(path for path in folder.rglob("*.pyc") if "bin" not in path.parts)])
    size = sum(path.stat().st_size for path in files)
    if size > MAX_UNPACKED_BYTES:
        sys.exit(f"make_zip.py: {size >> 20} MiB are more than a function may have ({MAX_UNPACKED_BYTES >> 20} MiB)")
    write(folder, files, package)
    print(f"{package}: {package.stat().st_size >> 20} MiB, {size >> 20} MiB unpacked")


def chosen(folder: Path) -> list[Path]:
    """Return the files that are packed, in order."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not NOT_NEEDED.intersection(path.relative_to(folder).parts[:-1])
    )


def compile_all(folder: Path, compiler: str) -> None:
    """Compile every module, bound to nothing but its own text: times change when the package is unpacked."""
    command = [
        compiler,
        "-m",
        "compileall",
        "-q",
        "-j",
        "0",
        "--invalidation-mode",
        "unchecked-hash",
        "-s",
        str(folder),
    ]
    subprocess.run([*command, str(folder)], check=True)


def write(folder: Path, files: list[Path], package: Path) -> None:
    """Write the files, without times, owners and order of their own."""
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in files:
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), EPOCH)
            entry.external_attr = MODE
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "")  # noqa: PLR2004 - the third
