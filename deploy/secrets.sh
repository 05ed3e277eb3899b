#!/usr/bin/env bash
# Makes the secrets of compose.yaml in secrets/, each once: what is there stays. `make secrets` calls it.
#
# The containers' users are others than yours, and each file is mounted alone: so the files may be read by all, and the
# folder, which no container sees, by you alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
umask 077
# What compose mounts from here is read by other users, too; a clone under a umask of 077 would keep it from them.
for mounted in deploy/mongodb deploy/prometheus deploy/grafana monitoring data; do
  [[ ! -d $mounted ]] || chmod -R go+rX "$mounted"
done
mkdir -p secrets
chmod 700 secrets

random() { # BYTES: so many, in hexadecimal, which needs no encoding in a URI
  head -c "$1" /dev/urandom | od -An -v -tx1 | tr -d ' \n'
}

keep() { # NAME: standard input becomes the file, as a whole or not at all
  cat > "secrets/.$1"
  chmod 444 "secrets/.$1"
  mv -f "secrets/.$1" "secrets/$1"
}

made=0 there=0
for name in mongodb-root-password mongodb-worker-password mongodb-reader-password mongodb-bi-password \
  api-token grafana-password; do
  [[ -s secrets/$name ]] && there=$((there + 1)) && continue
  random 24 | keep "$name"
  made=$((made + 1))
done
if [[ -s secrets/mongodb-keyfile ]]; then # by which members of a replica set know each other
  there=$((there + 1))
else
  head -c 384 /dev/urandom | base64 | tr -d '\n' | keep mongodb-keyfile
  made=$((made + 1))
fi

uri() { # USER FILE DATABASE: what logs in as that user
  local password
  password=$(< "secrets/$2")
  [[ $password =~ ^[A-Za-z0-9._~-]+$ ]] || {
    echo "error: secrets/$2: expected letters, digits and any of ._~- alone, since the password becomes part of a URI" >&2
    exit 1
  }
  printf 'mongodb://%s:%s@mongodb:27017/?authSource=%s&replicaSet=rs0' "$1" "$password" "$3"
}
uri root mongodb-root-password admin | keep mongodb-uri-admin
uri worker mongodb-worker-password movies_db | keep mongodb-uri-worker
uri dashboard mongodb-reader-password movies_db | keep mongodb-uri-dashboard
uri bi mongodb-bi-password movies_db | keep mongodb-uri-bi
echo "# compose.yaml asks for this file, so that compose says in words what is missing where it is not here." \
  | keep run-make-secrets-first.env

echo "secrets/: $made made, $there kept. The page of the dashboard asks for what stands in secrets/api-token."
