#!/usr/bin/env bash
# Re-resolve every lock file: hashes, and no registry address in any of them.
# Run it after a change of pyproject.toml or package.json, or with --upgrade to take what is new.
set -euo pipefail
cd "$(dirname "$0")/.."

uv=${UV:-$(command -v uv || echo .tools/uv/bin/uv)}
compile=("$uv" pip compile --quiet --generate-hashes --no-header --no-emit-index-url --no-emit-find-links
    --universal --python-version 3.11 "$@")

"${compile[@]}" --extra dev pyproject.toml -o requirements-dev.lock
"${compile[@]}" -c requirements-dev.lock pyproject.toml -o requirements.lock
"${compile[@]}" -c requirements-dev.lock --extra lambda pyproject.toml -o scripts/locks/lambda.lock
printf 'hatchling\neditables\n' |
    "${compile[@]}" --no-annotate -c requirements-dev.lock - -o scripts/locks/build.lock
printf 'uv\n' | "${compile[@]}" --no-annotate - -o scripts/locks/uv.lock
npm install --package-lock-only --loglevel=error

if grep -nE '"resolved"|--(extra-)?index-url|--find-links' requirements*.lock scripts/locks/*.lock package-lock.json; then
    echo "lock.sh: a lock names where a package comes from (above); it must not" >&2
    exit 1
fi
