package browsertest

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A server is examples/tabs as a process of its own, which can be killed.
type server struct {
	t      *testing.T
	flags  []string
	addr   string
	url    string // of the page
	secure string // of the page over HTTPS, if there is any
	cmd    *exec.Cmd
}

// startServer starts one with a store of its own, on a free port.
func startServer(t *testing.T, flags ...string) *server {
	t.Helper()
	s := &server{
		t:     t,
		flags: append(flags, "-db", filepath.Join(t.TempDir(), "tabs.db")),
		addr:  "127.0.0.1:0",
	}
	s.start()
	t.Cleanup(s.kill)
	return s
}

// start starts the process; after a kill, on the same port.
func (s *server) start() {
	s.t.Helper()
	s.cmd = exec.Command(program, append(s.flags, "-addr", s.addr)...)
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	require.NoError(s.t, err)
	require.NoError(s.t, s.cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n') // until it has opened its ports, or ended
	require.NoError(s.t, err, "the server does not start")
	line = strings.TrimSpace(strings.TrimPrefix(line, "Tabs on "))
	s.url, s.secure, _ = strings.Cut(line, " and ")
	s.addr = strings.TrimPrefix(s.url, "http://")
}

// kill ends the process as kill -9 does.
func (s *server) kill() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// post does what a script would, and gives the answer's status.
func (s *server) post(path, body string) {
	s.t.Helper()
	status, text := request(s.t, "POST", s.url+path, body)
	require.Equal(s.t, http.StatusOK, status, "%s: %s", path, text)
}

func (s *server) get(path string) (int, string) {
	s.t.Helper()
	return request(s.t, "GET", s.url+path, "")
}

func request(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	require.NoError(t, err)
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(text)
}
