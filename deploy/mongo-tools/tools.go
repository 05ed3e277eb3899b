//go:build tools

// Package tools names what `make tools` builds, so that go.mod and go.sum hold it, and all that it takes, to hashes.
package tools

import (
	_ "github.com/mongodb/mongo-tools/mongodump/main"
	_ "github.com/mongodb/mongo-tools/mongorestore/main"
)
