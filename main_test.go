package sse_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/lastevent/sse"
)

// TestMain fails the run when one of our goroutines outlives all servers.
func TestMain(m *testing.M) {
	if run, ok := children[os.Getenv("SSE_TEST_CHILD")]; ok {
		run()
		return
	}
	dir, err := os.MkdirTemp("", "sse")
	if err != nil {
		panic(err)
	}
	// The default server shall not write into the home of whoever tests.
	os.Setenv("SSE_DB", dir+"/default.db")
	os.Unsetenv("SSE_KEY")
	code := m.Run()
	sse.CloseDefault()
	os.RemoveAll(dir)
	if leaked := leaks(); code == 0 && leaked != "" {
		fmt.Println("goroutines are left:\n" + leaked)
		code = 1
	}
	os.Exit(code)
}

// leaks returns the stacks of goroutines in this module, once those that are on
// their way out had time to go.
func leaks() (stacks string) {
	for range 100 {
		stacks = ""
		buf := make([]byte, 1<<20)
		for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(g, "lastevent/sse") && !strings.Contains(g, "TestMain") {
				stacks += g + "\n\n"
			}
		}
		if stacks == "" {
			return ""
		}
		time.Sleep(20 * time.Millisecond)
	}
	return stacks
}
