package persist

import (
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	key1 = strings.Repeat("1f", 32)
	key2 = strings.Repeat("2E", 40)
)

func TestParseKeys(t *testing.T) {
	for name, text := range map[string]string{
		"commas":             key1 + "," + key2,
		"commas and spaces":  " " + key1 + " , " + key2 + " ",
		"spaces and tabs":    key1 + " \t " + key2,
		"lines":              key1 + "\n" + key2 + "\n",
		"lines of Windows":   key1 + "\r\n" + key2 + "\r\n",
		"comments and blank": "# newest\n\n" + key1 + " # since May\n\n#" + key1 + "\n" + key2,
	} {
		keys, err := ParseKeys(text)
		require.NoError(t, err, name)
		require.Len(t, keys, 2, name)
		assert.Equal(t, key1, fmt.Sprintf("%x", keys[0]), name)
		assert.Equal(t, strings.ToLower(key2), fmt.Sprintf("%x", keys[1]), name)
	}
	for name, c := range map[string]struct{ text, says string }{
		"nothing":      {"", "no key"},
		"only blanks":  {" ,\n\t,\n", "no key"},
		"only comment": {"#" + key1, "no key"},
		"too short":    {key1 + "\n" + key1[2:], "line 2 has a key of only 62 digits"},
		"too long":     {strings.Repeat(key1, 64), "a key of 4096 digits"},
		"odd":          {"\n\n" + key1 + "1", "line 3 has an odd number"},
		"not hex":      {key1[:63] + "g", "line 1 has something that is not a hex digit"},
		"base64":       {"q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=", "line 1 has"},
		"another sign": {key1 + ";" + key2, "line 1 has"},
		"too many":     {strings.Repeat(key1+"\n", maxKeyCount+1), "more than 64 keys"},
	} {
		_, err := ParseKeys(c.text)
		require.ErrorIs(t, err, ErrKeyFile, name)
		assert.ErrorContains(t, err, c.says, name)
		assert.ErrorContains(t, err, "openssl rand -hex 32", name)
		requireNoKey(t, err, c.text)
	}
}

// requireNoKey fails if the error quotes any four characters of a word that could be a key.
func requireNoKey(t *testing.T, err error, text string) {
	t.Helper()
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" ,\n\t\r#", r) }) {
		for i := 0; i+4 <= len(word); i++ {
			require.NotContains(t, err.Error(), word[i:i+4])
		}
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add(key1 + "," + key2 + "\n# comment\r\n")
	f.Add(key1[1:])
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := ParseKeys(text)
		if err != nil {
			require.ErrorIs(t, err, ErrKeyFile)
			return
		}
		// What was understood means the same when it is written as the file has it.
		var lines strings.Builder
		for _, key := range keys {
			require.GreaterOrEqual(t, len(key), newKeyLen)
			fmt.Fprintf(&lines, "%x\n", key)
		}
		again, err := ParseKeys(lines.String())
		require.NoError(t, err)
		require.Equal(t, keys, again)
	})
}

func TestKeyFile(t *testing.T) {
	b := openBolt(t, tempPath(t))
	path := b.path + ".keys"
	_, err := os.Stat(path)
	require.ErrorIs(t, err, fs.ErrNotExist, "it is made on first use")

	keys, err := b.Keys()
	require.NoError(t, err)
	require.Len(t, keys, 1)
	require.Len(t, keys[0], newKeyLen)
	info, err := os.Stat(path)
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		require.Equal(t, os.FileMode(0o600), info.Mode())
	}
	_, err = os.Stat(path + ".new")
	require.ErrorIs(t, err, fs.ErrNotExist, "nothing is left beside it")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(text), fmt.Sprintf("\n%x\n", keys[0]))

	// Rotation: a new key above.
	require.NoError(t, os.WriteFile(path, append([]byte(key1+"\n"), text...), 0o600))
	rotated, err := b.Keys()
	require.NoError(t, err)
	require.Len(t, rotated, 2)
	require.Equal(t, key1, fmt.Sprintf("%x", rotated[0]))
	require.Equal(t, keys[0], rotated[1])
}

func TestKeyFileFromManyGoroutines(t *testing.T) {
	b := openBolt(t, tempPath(t))
	for range 30 {
		results := make(chan string, 16)
		for range cap(results) {
			go func() { // ends with Keys; the test receives from each
				keys, err := b.Keys()
				results <- fmt.Sprint(keys, err)
			}()
		}
		first := <-results
		require.Contains(t, first, "<nil>")
		for range cap(results) - 1 {
			require.Equal(t, first, <-results)
		}
		require.NoError(t, os.Remove(b.path+".keys"))
	}
}

func TestKeyFileRefused(t *testing.T) {
	for name, c := range map[string]struct {
		make func(path string) error
		says string
	}{
		"empty":       {func(path string) error { return os.WriteFile(path, nil, 0o600) }, "there is no key in it"},
		"damaged":     {func(path string) error { return os.WriteFile(path, []byte("#\n"+key1[1:]), 0o600) }, "line 2 has an odd number"},
		"large":       {func(path string) error { return os.WriteFile(path, make([]byte, 1<<20), 0o600) }, "some other file"},
		"a directory": {func(path string) error { return os.Mkdir(path, 0o700) }, "not a regular file"},
		"readable by the group": {func(path string) error {
			return os.WriteFile(path, []byte(key1), 0o640)
		}, "chmod 600 "},
		"writable by others": {func(path string) error {
			if err := os.WriteFile(path, []byte(key1), 0o600); err != nil {
				return err
			}
			return os.Chmod(path, 0o602)
		}, "chmod 600 "},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(c.says, "chmod") && runtime.GOOS == "windows" {
				t.Skip("modes mean nothing here")
			}
			b := openBolt(t, tempPath(t))
			path := b.path + ".keys"
			require.NoError(t, c.make(path))
			before, _ := os.ReadFile(path)
			_, err := b.Keys()
			require.ErrorIs(t, err, ErrKeyFile)
			require.ErrorContains(t, err, path)
			require.ErrorContains(t, err, c.says)
			requireNoKey(t, err, key1)
			after, _ := os.ReadFile(path)
			require.Equal(t, before, after, "it is not replaced")
		})
	}
}

// What a crash may have left of a file in the making does not hinder, and is not used.
func TestKeyFileAfterCrash(t *testing.T) {
	b := openBolt(t, tempPath(t))
	require.NoError(t, os.WriteFile(b.path+".keys.new", []byte(key1+"\n"), 0o644))
	keys, err := b.Keys()
	require.NoError(t, err)
	require.NotEqual(t, key1, fmt.Sprintf("%x", keys[0]))
}

func TestKeyFileCannotBeMade(t *testing.T) {
	b := openBolt(t, tempPath(t))
	require.NoError(t, os.MkdirAll(b.path+".keys.new/in the way", 0o700))
	_, err := b.Keys()
	require.ErrorIs(t, err, ErrUnavailable)
	require.NoError(t, b.Put(t.Context(), "k", nil, time.Time{}), "the rest works")
}

// A file that appeared meanwhile is not replaced.
func TestMakeKeyFileDoesNotReplace(t *testing.T) {
	path := tempPath(t) + ".keys"
	require.NoError(t, os.WriteFile(path, []byte(key1), 0o600))
	require.NoError(t, makeKeyFile(path))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, key1, string(text))
}
