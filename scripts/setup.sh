#!/usr/bin/env bash
# Sets up what a command of the Makefile needs, and nothing twice:
#
#   scripts/setup.sh run     Python and npm packages of `portico demo`
#   scripts/setup.sh dev     also what tests, checks and the benchmark need (the tools, Chromium, PostgreSQL, nginx,
#                            wrk, the npm clients)
#
# Each step leaves a stamp that holds the hash of what it was made from; a second run compares and returns.
# Only this script needs the network.
set -euo pipefail
cd "$(dirname "$0")/.."

level=${1:-dev}
venv=.venv
tools=.tools
node_least=18
export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-1} # a company's own CA is in the system's store

say() { printf 'setup: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

hash_of() { cat "$@" | python_any -c 'import hashlib,sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'; }
python_any() { if have python3; then python3 "$@"; else "$venv/bin/python" "$@"; fi; }

fresh() { # fresh STAMP FILE...: was the step made from these very files?
    local stamp=$1
    shift
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(hash_of "$@")" ]
}

# --- system packages ----------------------------------------------------------------------------------------
node_is_recent() { have node && [ "$(node -p 'process.versions.node.split(".")[0]')" -ge "$node_least" ]; }
postgresql_is_there() { have initdb || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; }
python_makes_venvs() { have python3 && python3 -c 'import ensurepip, venv' >/dev/null 2>&1; }

# missing_packages: the Debian names of what this level needs and the machine lacks
missing_packages() {
    if ! have uv && [ ! -x $tools/uv/bin/uv ] && ! python_makes_venvs; then echo python3 python3-venv; fi
    node_is_recent || echo nodejs
    have npm || echo npm
    [ "$level" = run ] && return
    have chromium || echo chromium
    postgresql_is_there || echo postgresql
    have nginx || [ -x /usr/sbin/nginx ] || echo nginx-light
    have wrk || echo wrk
}

# The tests start servers of their own out of the package's programs; Debian would also make and start one for good.
make_no_cluster() {
    local directory=/etc/postgresql-common/createcluster.d
    mkdir -p $directory
    [ -e $directory/portico.conf ] || echo 'create_main_cluster = false' >$directory/portico.conf
}

install_system_packages() {
    local missing
    missing=$(missing_packages | xargs)
    [ -z "$missing" ] && return
    if [ "$(id -u)" = 0 ] && have apt-get; then
        case " $missing " in *" postgresql "*) make_no_cluster ;; esac
        say "installing system packages: $missing"
        # shellcheck disable=SC2086 # a list of names
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } \
            >/dev/null || die "apt-get could not install: $missing"
        missing=$(missing_packages | xargs)
        [ -z "$missing" ] && return
    fi
    die "missing system packages: $missing. Install them (Debian: sudo apt install $missing) and run this again." \
        "Needed: Python 3.11 with venv or uv, Node.js $node_least or later with npm," \
        "for tests also Chromium, the server programs of PostgreSQL, nginx and wrk."
}

# --- Python ---------------------------------------------------------------------------------------------------
find_uv() {
    if have uv; then
        uv=uv
        return
    fi
    uv=$tools/uv/bin/uv
    [ -x "$uv" ] && return
    say "installing uv into $tools"
    rm -rf $tools/uv
    python3 -m venv $tools/uv
    $tools/uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r scripts/locks/uv.lock
}

install_python() {
    local locks=(requirements.lock scripts/locks/build.lock)
    [ "$level" = run ] || locks=(requirements-dev.lock)
    local stamp=$venv/.portico-dev
    if [ -x $venv/bin/portico ] && fresh $stamp requirements-dev.lock pyproject.toml; then return; fi
    if [ "$level" = run ]; then
        stamp=$venv/.portico-run
        if [ -x $venv/bin/portico ] && fresh $stamp "${locks[@]}" pyproject.toml; then return; fi
    fi
    find_uv
    [ -x $venv/bin/python ] || "$uv" venv --quiet --python '>=3.11' $venv
    say "installing Python packages into $venv (${locks[*]})"
    local requirements=()
    for lock in "${locks[@]}"; do requirements+=(-r "$lock"); done
    "$uv" pip install --quiet --python $venv/bin/python --require-hashes "${requirements[@]}"
    "$uv" pip install --quiet --python $venv/bin/python --no-deps --no-build-isolation --editable .
    hash_of "${locks[@]}" pyproject.toml >"$stamp"
}

# --- npm ------------------------------------------------------------------------------------------------------
install_npm() {
    local stamp=node_modules/.portico-dev omit=()
    if fresh $stamp package-lock.json package.json; then return; fi
    if [ "$level" = run ]; then
        stamp=node_modules/.portico-run
        omit=(--omit=dev)
        if fresh $stamp package-lock.json package.json; then return; fi
    fi
    say "installing npm packages into node_modules"
    # ignore-scripts stands in .npmrc too; here for npm versions that ask about each script otherwise
    npm ci --ignore-scripts --loglevel=error ${omit[@]+"${omit[@]}"} >/dev/null
    hash_of package-lock.json package.json >$stamp
}

case $level in run | dev) ;; *) die "unknown level '$level': use run or dev" ;; esac
install_system_packages
install_python
install_npm
