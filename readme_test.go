package sse_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// README's program is examples/hello, and that of the package comment is the
// same; the files that README names are there.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	source, err := os.ReadFile("examples/hello/main.go")
	require.NoError(t, err)
	_, program, _ := strings.Cut(string(source), "\npackage main")
	program = "package main" + program
	assert.Contains(t, string(readme), "```go\n"+program+"```\n")

	doc, err := os.ReadFile("sse.go")
	require.NoError(t, err)
	comment := regexp.MustCompile(`(?m)^`).ReplaceAllString(strings.TrimSpace(program), "//\t")
	comment = regexp.MustCompile(`(?m)^//\t$`).ReplaceAllString(comment, "//")
	assert.Contains(t, string(doc), comment)

	for _, link := range regexp.MustCompile(`\]\(([a-z./_]+)\)`).FindAllStringSubmatch(string(readme), -1) {
		_, err := os.Stat(link[1])
		assert.NoError(t, err)
	}
}
