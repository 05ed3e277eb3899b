#!/usr/bin/env bash
# Starts mongod as compose.yaml wants it. It insists on a key file that nobody else may read; a secret is readable by all
# in its container, so that it is copied to the container's memory.
set -euo pipefail
install -m 400 /run/secrets/mongodb-keyfile /tmp/keyfile
exec docker-entrypoint.sh mongod --replSet rs0 --keyFile /tmp/keyfile --bind_ip_all --wiredTigerCacheSizeGB 0.25
