package sse_test

import (
	"go/build"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// imports is the module's import graph: what each package may import of this
// module and of others. Imports run one way, and the three in the middle do
// not know each other.
var imports = map[string]string{
	"sse":               "closing emitter persist session",
	"session":           "github.com/gorilla/securecookie",
	"closing":           "persist",
	"emitter":           "golang.org/x/sys/unix",
	"emitter/wiretest":  "",
	"persist":           "go.etcd.io/bbolt go.etcd.io/bbolt/errors golang.org/x/sys/unix golang.org/x/sys/windows",
	"persist/storetest": "persist github.com/stretchr/testify/assert github.com/stretchr/testify/require",
	"examples/hello":    "sse",
	"examples/tabs":     "sse",
}

const module = "github.com/lastevent/sse"

func TestImportGraph(t *testing.T) {
	list, err := exec.Command("go", "list", "./...").Output()
	require.NoError(t, err)
	for _, path := range strings.Fields(string(list)) {
		name := strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
		dir := filepath.FromSlash(name)
		if name == "" {
			name, dir = "sse", "."
		}
		allowed, ok := imports[name]
		if !assert.True(t, ok, "package %s is not in the table", name) {
			continue
		}
		for _, system := range []string{"linux", "darwin", "windows"} {
			ctx := build.Default
			ctx.GOOS = system
			pkg, err := ctx.ImportDir(dir, 0)
			require.NoError(t, err)
			for _, imported := range pkg.Imports {
				if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
					continue // the standard library
				}
				imported = strings.TrimPrefix(strings.TrimPrefix(imported, module), "/")
				if imported == "" {
					imported = "sse"
				}
				assert.True(t, slices.Contains(strings.Fields(allowed), imported), "%s imports %s on %s", name, imported, system)
			}
		}
	}
}
