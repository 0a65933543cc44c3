#!/usr/bin/env bash
# Resolve the peers' lock files again: hashes, and no registry address in any of them. Run it after a change of an .in.
set -euo pipefail
cd "$(dirname "$0")"

uv=${UV:-$(command -v uv || echo ../../.tools/uv/bin/uv)}
for peer in fastmcp:3.11 contextforge:3.12 mcp-proxy:3.11; do
    "$uv" pip compile --quiet --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
        --universal --no-python-downloads --python-version "${peer#*:}" "${peer%:*}.in" -o "${peer%:*}.lock"
done

if grep -nE -e '--(extra-)?index-url|--find-links|https?://' ./*.lock; then
    echo "lock.sh: a lock names where a package comes from (above); it must not" >&2
    exit 1
fi
