#!/usr/bin/env bash
# Builds the function's package: Portico and exactly what scripts/locks/lambda.lock names, for Lambda's processor and
# Python, into .artifacts/portico-lambda-ARCH.zip. The same sources give the same bytes.
#
#   deploy/aws/package.sh            for arm64, and the Python that template.yaml names
#   deploy/aws/package.sh x86_64
#   PYTHON_VERSION=3.12 deploy/aws/package.sh    for another runtime (change Runtime in the template too)
set -euo pipefail
cd "$(dirname "$0")/../.."

arch=${1:-arm64}
case $arch in
arm64) platform=aarch64-manylinux_2_28 ;;
x86_64) platform=x86_64-manylinux_2_28 ;;
*)
    echo "package.sh: unknown processor '$arch'; use arm64 or x86_64" >&2
    exit 2
    ;;
esac
python=${PYTHON_VERSION:-$(sed -n 's/^ *Runtime: python//p' deploy/aws/template.yaml)}

scripts/setup.sh run
uv=${UV:-$(command -v uv || echo .tools/uv/bin/uv)}
if [ ! -x "$uv" ]; then # a machine set up by another uv
    python3 -m venv .tools/uv
    .tools/uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r scripts/locks/uv.lock
    uv=.tools/uv/bin/uv
fi

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$uv" pip install --quiet --target "$place/root" --python .venv/bin/python --python-platform "$platform" \
    --python-version "$python" --only-binary :all: --require-hashes -r scripts/locks/lambda.lock
"$uv" build --quiet --wheel --no-build-isolation --python .venv/bin/python --out-dir "$place/wheel" .
"$uv" pip install --quiet --target "$place/root" --python .venv/bin/python --no-deps "$place"/wheel/*.whl

# Lambda cannot write bytecode beside the sources; without it every cold start compiles everything again.
compiler=$("$uv" python find --no-python-downloads "$python" 2>/dev/null || true)
if [ -z "$compiler" ]; then
    echo "package.sh: no Python $python here, so the package has no bytecode and cold starts take some seconds more" >&2
fi

mkdir -p .artifacts
.venv/bin/python deploy/aws/make_zip.py "$place/root" ".artifacts/portico-lambda-$arch.zip" "$compiler"
