package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestItListensLocallyOnly(t *testing.T) {
	over, end := context.WithCancel(t.Context())
	end() // whatever is served by mistake is over at once
	db := filepath.Join(t.TempDir(), "tabs.db")
	for _, addr := range []string{"0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.org:80"} {
		err := run(over, settings{db: db, addr: addr}, io.Discard)
		assert.ErrorContains(t, err, "listens on localhost", addr)
		assert.ErrorContains(t, err, "-addr: "+addr)
		err = run(over, settings{db: db, addr: "localhost:0", tlsAddr: addr}, io.Discard)
		assert.ErrorContains(t, err, "-tls-addr: "+addr)
	}
	assert.ErrorContains(t, run(over, settings{db: db, addr: "8080"}, io.Discard), "localhost:8080")

	l, at, err := listen(":0")
	require.NoError(t, err)
	defer l.Close()
	assert.True(t, l.Addr().(*net.TCPAddr).IP.IsLoopback(), "no host means localhost")
	assert.True(t, strings.HasPrefix(at, "localhost:"))

	assert.ErrorContains(t, run(over, settings{db: db, addr: at}, io.Discard), "choose another port")
}

func TestItServesHTTP2AndEndsWithOpenStreams(t *testing.T) {
	dir := t.TempDir()
	cert, key := selfSigned(t, dir)
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, settings{
			addr:    "localhost:0",
			db:      filepath.Join(dir, "tabs.db"),
			tlsAddr: "127.0.0.1:0",
			tlsCert: cert,
			tlsKey:  key,
		}, in)
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	plain, secure, ok := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "Tabs on ")), " and ")
	require.True(t, ok, line)

	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		ForceAttemptHTTP2: true,
	}}
	defer client.CloseIdleConnections()
	var streams []io.Reader
	for url, major := range map[string]int{plain: 1, secure: 2} {
		answer, err := client.Get(url + "/events")
		require.NoError(t, err)
		defer answer.Body.Close()
		assert.Equal(t, major, answer.ProtoMajor, url)
		streams = append(streams, answer.Body)
	}
	stop()
	for _, s := range streams {
		_, err := io.ReadAll(s)
		assert.Error(t, err, "it is cut, so that the tab comes back")
	}
	select {
	case err := <-ended:
		assert.NoError(t, err)
	case <-time.After(testPatience):
		assert.Fail(t, "run does not end")
	}
}

// selfSigned makes a certificate that nobody trusts.
func selfSigned(t *testing.T, dir string) (cert, key string) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotAfter:     time.Now().Add(time.Hour),
		DNSNames:     []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
	return cert, key
}

func TestCheckSettings(t *testing.T) {
	for _, c := range []struct {
		set  settings
		args []string
		want string
	}{
		{settings{}, nil, ""},
		{settings{tlsAddr: "localhost:0", tlsCert: "c", tlsKey: "k"}, nil, ""},
		{settings{}, []string{"more"}, "more"},
		{settings{tlsAddr: "localhost:0", tlsCert: "c"}, nil, "-tls-key"},
		{settings{tlsCert: "c"}, nil, "-tls-addr"},
	} {
		err := c.set.check(c.args)
		if c.want == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, c.want)
		}
	}
}
