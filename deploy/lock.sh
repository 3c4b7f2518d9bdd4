#!/bin/sh
# Writes requirements/*.txt (names, versions, hashes; for Python 3.11 to 3.13 on any platform; no address of an index)
# or, with the argument `jars`, deploy/broker/jars.sha256.
set -eu
cd "$(dirname "$0")/.."

if [ "${1:-}" = jars ]; then
    rm -rf build/broker/jars
    mvn --batch-mode --quiet --strict-checksums --file deploy/broker/pom.xml \
        dependency:copy-dependencies -DoutputDirectory="$PWD/build/broker/jars"
    (cd build/broker/jars && sha256sum -- *.jar) >deploy/broker/jars.sha256
    exit
fi

export UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1 UV_NO_CONFIG=1
compile() {
    .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
        --python-version 3.11 --upgrade "$@"
}
compile pyproject.toml --output-file requirements/runtime.txt
compile pyproject.toml --group dev --extra traces --constraint requirements/runtime.txt --output-file requirements/dev.txt
sed -n 's/^\(uv==[^ ;\\]*\).*/\1/p' requirements/dev.txt >requirements/bootstrap.in
compile requirements/bootstrap.in --output-file requirements/bootstrap.txt
printf '%s\n' 'hatchling' >requirements/build.in
compile requirements/build.in --constraint requirements/dev.txt --output-file requirements/build.txt
