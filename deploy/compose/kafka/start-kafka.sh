#!/bin/sh
# Puts the public name in, formats the data folder the first time, and becomes the node.
set -eu
config=/tmp/server.properties
sed "s/@PUBLIC_HOST@/$PUBLIC_HOST/" /etc/cgi-hub/server.properties >"$config"
/opt/kafka/bin/kafka-storage.sh format --standalone --ignore-formatted --cluster-id "$CLUSTER_ID" --config "$config"
exec /opt/kafka/bin/kafka-server-start.sh "$config"
