#!/bin/sh
# Makes a checkout ready on a machine with nothing but Python 3.11+: `setup.sh python` the environment, `setup.sh jars`
# the broker's jars, `setup.sh observability` Prometheus and Alertmanager, `setup.sh console` what the console's pages and
# their tests have of npm and Debian, `setup.sh token` a token in software. The Makefile calls it, and skips what is done.
# Where a Debian package is missing, root gets it through apt-get; anyone else is told its name.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "setup: $*" >&2; }
fail() { say "$*"; exit 1; }

# need_package WHAT PACKAGE...: install Debian packages, or say that they are needed.
need_package() {
    what=$1
    shift
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        fail "$what is missing: install it (on Debian: apt-get install $*) and run this again"
    fi
    say "$what is missing: installing $*"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get -qq update && apt-get -qq install -y --no-install-recommends "$@"; } >&2 \
        || fail "apt-get could not install $*: install it and run this again"
}

find_python() {
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
        [ -n "$candidate" ] && command -v "$candidate" >/dev/null || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is missing: install it, or name it: make PYTHON=/path/to/python3"
}

set_up_python() {
    # uv trusts what the machine trusts, as pip does; nothing of another project's settings is taken over.
    export UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1 UV_NO_CONFIG=1
    unset PYTHONPATH PYTHONHOME VIRTUAL_ENV
    python=$(find_python)
    if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        rm -rf .venv
        if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
            need_package "Python's venv" python3-venv
        fi
        say "making .venv with $python"
        "$python" -m venv .venv || fail "no virtual environment could be made with $python"
    fi
    if ! .venv/bin/uv --version 2>/dev/null | grep -qF "$(sed -n 's/^uv==\([^ ;]*\).*/uv \1/p' requirements/bootstrap.txt)"; then
        .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
            -r requirements/bootstrap.txt || fail "uv could not be installed: is a package index reachable?"
    fi
    say "installing what requirements/dev.txt pins"
    .venv/bin/uv pip sync --quiet --python .venv/bin/python --require-hashes requirements/dev.txt \
        || fail "not everything could be installed: is a package index reachable?"
    .venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable . \
        || fail "the project itself could not be installed into .venv"
}

# Whether the java on the PATH is 17 or newer; its first line says: openjdk version "17.0.15" 2025-04-15
has_java() {
    major=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')
    [ "${major:-0}" -ge 17 ] 2>/dev/null
}

set_up_jars() {
    jars=build/broker/jars
    if ! has_java; then
        need_package "Java 17 or newer" openjdk-17-jre-headless
        has_java || fail "the java on the PATH is still older than 17: $(command -v java || echo none)"
    fi
    command -v mvn >/dev/null || need_package "Maven" maven
    say "getting the broker's jars through Maven"
    mkdir -p $jars
    mvn --batch-mode --quiet --strict-checksums --file deploy/broker/pom.xml \
        dependency:copy-dependencies -DoutputDirectory="$PWD/$jars" >build/broker/maven.log 2>&1 \
        || fail "Maven could not get the broker's jars: see build/broker/maven.log"
    (cd $jars && sha256sum --check --strict --quiet ../../../deploy/broker/jars.sha256 >&2) \
        || fail "these jars are not the pinned ones: remove $jars and their folders in ~/.m2/repository, run this again"
}

# Prometheus (with promtool) and Alertmanager are wanted, not needed: without root and apt-get it says so and succeeds,
# the tests of the alerts are skipped then, and `make up` starts without them. Debian's own services of what is
# installed here never start: ours run with the stack, on ports of their own.
set_up_observability() {
    wanted=
    command -v promtool >/dev/null && command -v prometheus >/dev/null || wanted=prometheus
    command -v prometheus-alertmanager >/dev/null || wanted="$wanted prometheus-alertmanager"
    [ -n "$wanted" ] || return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        say "alerts are not tested here: on Debian, apt-get install" $wanted
        return
    fi
    policy=${POLICY_RC_D:-/usr/sbin/policy-rc.d}
    if [ ! -e "$policy" ]; then # a machine's own policy is left as it is
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    for unit in $wanted; do # not at the next boot either; a unit need not be there to be masked
        ! command -v systemctl >/dev/null || systemctl --quiet mask "$unit.service" >&2 \
            || say "systemctl could not mask $unit.service"
    done
    (need_package "Prometheus or Alertmanager" $wanted) || say "alerts are not tested here"
}

# What the console serves (htmx) and what its tests need (axe-core, Chromium) are wanted, not needed: without npm the
# pages are refreshed by hand and the tests in a browser are skipped. Nothing of a package is run while it is installed.
set_up_console() {
    if ! command -v npm >/dev/null; then
        say "the console's pages do not renew themselves and are not tested in a browser: npm is missing"
        return
    fi
    mkdir -p build/console
    cp deploy/console/package.json deploy/console/package-lock.json build/console/
    (cd build/console && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2) \
        || { say "npm could not get htmx and axe-core: the console's pages do not renew themselves"; return; }
    mkdir -p hub/console/static/vendor
    cp build/console/node_modules/htmx.org/dist/htmx.min.js build/console/node_modules/htmx.org/dist/ext/hx-sse.min.js \
        hub/console/static/vendor/
    command -v chromium >/dev/null && return
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        say "the console is not tested in a browser: on Debian, apt-get install chromium"
        return
    fi
    (need_package "Chromium" chromium) || say "the console is not tested in a browser"
}

# SoftHSM2 is a PKCS #11 token in software, for the tests of keys in a token: wanted, not needed.
set_up_token() {
    command -v softhsm2-util >/dev/null && return
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        say "keys in a token are not tested here: on Debian, apt-get install softhsm2"
        return
    fi
    (need_package "SoftHSM2" softhsm2) || say "keys in a token are not tested here"
}

case ${1:-} in
    token) set_up_token ;;
    python) set_up_python ;;
    jars) set_up_jars ;;
    observability) set_up_observability ;;
    console) set_up_console ;;
    *) fail "usage: setup.sh python|jars|observability|console|token" ;;
esac
