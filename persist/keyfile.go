package persist

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

const (
	newKeyLen   = 32       // bytes in a key that is made here, and the least that is accepted
	maxKeyLen   = 1024     // bytes in a key; more is some other file
	maxKeyCount = 64       // keys; more is some other file
	maxKeyFile  = 64 << 10 // bytes
)

const keyFileHead = `# The keys that sign the ids of this program's sessions. Keep them secret: who has one can be any tab.
# One key a line, at least 64 hex digits. The first signs; all are accepted. To rotate, put a new key above the others
# and restart, and remove an old one when the ids that it signed have expired. (Servers that share keys get them from
# $SSE_KEY or the program: there a new key is first added last, everywhere, and then moved to the front.)
`

// Keys implements Keyring with the file that lies beside the database under its name with ".keys" behind it: text with
// one key a line in hex, the newest first; blank lines are skipped, and so is what follows a #. If there is no such
// file, it is made, with one random key.
//
// ErrKeyFile means that there is one which cannot be used: its text is wrong (the error names the line), or its mode
// lets others than its owner at it. It is never replaced, because the ids that its keys have signed would be worthless.
func (b *Bolt) Keys() ([][]byte, error) {
	b.keysMu.Lock()
	defer b.keysMu.Unlock()
	if b.committer.closing() {
		return nil, ErrClosed
	}
	path := b.path + ".keys"
	keys, err := readKeyFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeKeyFile(path); err != nil {
			return nil, pathError("making", path, err)
		}
		keys, err = readKeyFile(path)
	}
	return keys, err
}

// ParseKeys reads keys from a text such as the value of an environment variable: keys of at least 64 hex digits (32
// bytes), the newest first, separated by commas, spaces or line breaks. What follows a # is ignored up to the end of
// its line. The error is ErrKeyFile; it names the line, and says what is wrong with it without quoting it.
func ParseKeys(text string) ([][]byte, error) {
	keys, err := parseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	return keys, nil
}

func parseKeys(text string) ([][]byte, error) {
	const right = "a key is 64 or more of the digits 0-9 and a-f, for instance the output of: openssl rand -hex 32"
	var keys [][]byte
	for i, line := range strings.Split(strings.ReplaceAll(text, "\r", "\n"), "\n") {
		line, _, _ = strings.Cut(line, "#")
		for _, word := range strings.FieldsFunc(line, isKeySeparator) {
			key := make([]byte, hex.DecodedLen(len(word)))
			_, err := hex.Decode(key, []byte(word))
			var wrong string
			switch {
			case errors.Is(err, hex.ErrLength):
				wrong = "an odd number of digits"
			case err != nil: // the error itself would quote a character
				wrong = "something that is not a hex digit"
			case len(key) < newKeyLen:
				wrong = fmt.Sprintf("a key of only %d digits", len(word))
			case len(key) > maxKeyLen:
				wrong = fmt.Sprintf("a key of %d digits, more than %d", len(word), 2*maxKeyLen)
			case len(keys) == maxKeyCount:
				wrong = fmt.Sprintf("more than %d keys", maxKeyCount)
			default:
				keys = append(keys, key)
				continue
			}
			return nil, fmt.Errorf("line %d has %s; %s", i+1, wrong, right)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("there is no key in it; %s", right)
	}
	return keys, nil
}

func isKeySeparator(r rune) bool { return r == ',' || r == ' ' || r == '\t' }

// readKeyFile returns fs.ErrNotExist, and nothing around it, when there is no file.
func readKeyFile(path string) ([][]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fs.ErrNotExist
		}
		return nil, pathError("opening", path, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, pathError("opening", path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a regular file", ErrKeyFile, path)
	}
	if open := info.Mode().Perm() & 0o077; open != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%w: %s can be read or written by others than its owner (mode %04o): chmod 600 %s, and "+
			"replace its keys if anybody may have read them", ErrKeyFile, path, info.Mode().Perm(), path)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	if err != nil {
		return nil, pathError("reading", path, err)
	}
	if len(text) > maxKeyFile {
		return nil, fmt.Errorf("%w: %s has more than %d bytes; it is some other file", ErrKeyFile, path, maxKeyFile)
	}
	keys, err := parseKeys(string(text))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w; to have a new key made, and all ids void, remove the file", ErrKeyFile, path, err)
	}
	return keys, nil
}

// makeKeyFile makes the file with a new key. A crash leaves no file or the whole one. It does not replace a file that
// has appeared meanwhile.
func makeKeyFile(path string) error {
	fresh := path + ".new" // of this process alone: it has the lock of the database
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(fresh)
	key := make([]byte, newKeyLen)
	rand.Read(key) // never fails: it ends the program rather than return weak bytes
	var text bytes.Buffer
	text.WriteString(keyFileHead)
	fmt.Fprintf(&text, "%x\n", key)
	_, err = file.Write(text.Bytes())
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Link(fresh, path); err != nil && !errors.Is(err, fs.ErrExist) {
		// A file system without links, then: look before, because Rename replaces.
		if _, err := os.Lstat(path); err == nil {
			return nil
		}
		if err := os.Rename(fresh, path); err != nil {
			return err
		}
	}
	return syncDir(filepath.Dir(path))
}
