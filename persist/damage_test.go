package persist

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"
)

// A sample is the image of a sound file, and what is in it. Its last transaction changed nothing that can be read, so
// that the file means the same by either meta page.
type sample struct {
	image []byte
	want  map[string]string
}

func newSample(t testing.TB) sample {
	path := filepath.Join(t.TempDir(), "sse.db")
	b, err := Open(path)
	require.NoError(t, err)
	want := map[string]string{}
	put := func(key, value string, expires time.Time) {
		require.NoError(t, b.Put(t.Context(), key, []byte(value), expires))
		want[key] = value
	}
	for i := range 150 { // enough for branch pages
		put(fmt.Sprintf("closed/%016x", i*7919), fmt.Sprint(i), time.Now().Add(24*time.Hour))
	}
	put("large", string(bytes.Repeat([]byte("large"), 2000)), time.Time{}) // for pages with overflow
	for i := range 30 {
		key := fmt.Sprintf("closed/%016x", i*5*7919)
		require.NoError(t, b.Delete(t.Context(), key)) // for a list of free pages
		delete(want, key)
	}
	put("last", "v", time.Time{})
	put("last", "v", time.Time{})
	require.NoError(t, b.Close())
	image, err := os.ReadFile(path)
	require.NoError(t, err)
	return sample{image, want}
}

// tryImage opens a file with these bytes. It may be refused, by Open or when something is read, and Open leaves it as it
// is then; or else it has exactly what it should have.
func (s sample) tryImage(t testing.TB, path string, image []byte) error {
	t.Helper()
	require.NoError(t, os.WriteFile(path, image, 0o600))
	b, refused := Open(path)
	if refused != nil {
		require.ErrorIs(t, refused, ErrCorrupt)
		after, err := os.ReadFile(path)
		require.NoError(t, err)
		require.True(t, bytes.Equal(image, after), "a refused file was changed")
		return refused
	}
	defer func() { require.NoError(t, b.Close()) }()
	for key, value := range s.want {
		got, err := b.Get(t.Context(), key)
		if errors.Is(err, ErrCorrupt) {
			return err
		}
		require.NoError(t, err, key)
		require.Equal(t, value, string(got), key)
	}
	return nil
}

func TestCutShort(t *testing.T) {
	s := newSample(t)
	path := tempPath(t)
	require.NoError(t, s.tryImage(t, path, s.image))
	m, ok := readMeta(bytes.NewReader(s.image), 0)
	require.True(t, ok)
	used := int(m.pages * m.pageSize)

	lengths := []int{1, 15, 16, 63, 79, 80, 511, 512, 1023, 1024, 4095, used - 1}
	for at := int(m.pageSize); at < used; at += int(m.pageSize) {
		lengths = append(lengths, at-1, at, at+1, at+80, at+rand.IntN(int(m.pageSize)))
	}
	for _, n := range lengths {
		if n >= used {
			continue
		}
		require.Error(t, s.tryImage(t, path, s.image[:n]), "cut to %d bytes", n)
	}
	// What bbolt has put behind the last page means nothing.
	require.NoError(t, s.tryImage(t, path, s.image[:used]))
}

func TestNotADatabase(t *testing.T) {
	s := newSample(t)
	page := os.Getpagesize()
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rand.Uint32())
		}
		return b
	}
	images := map[string][]byte{
		"a text":           []byte("Dear diary,\n"),
		"a long text":      bytes.Repeat([]byte("All work and no play makes Jack a dull boy.\n"), 5000),
		"zeros":            make([]byte, 8*page),
		"no first page":    append(make([]byte, page), s.image[page:2*page]...),
		"without metas":    append(make([]byte, 2*page), s.image[2*page:]...),
		"the pages behind": append(bytes.Clone(s.image[:2*page]), random(len(s.image)-2*page)...),
		"zeros behind":     append(bytes.Clone(s.image[:2*page]), make([]byte, len(s.image)-2*page)...),
	}
	for i := range 30 {
		images[fmt.Sprintf("random %d", i)] = random(1 + rand.IntN(1<<(i/2+3)))
	}
	for name, image := range images {
		t.Run(name, func(t *testing.T) {
			require.Error(t, s.tryImage(t, tempPath(t), image))
		})
	}
}

func TestForeignDatabase(t *testing.T) {
	path := tempPath(t)
	db, err := bolt.Open(path, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	b, err := Open(path)
	require.NoError(t, err, "one without anything in it is as good as a new one")
	require.NoError(t, b.Close())

	path = tempPath(t)
	db, err = bolt.Open(path, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bolt.Tx) error {
		bucket, err := tx.CreateBucket([]byte("users"))
		if err != nil {
			return err
		}
		if _, err = bucket.CreateBucket([]byte("nested")); err != nil {
			return err
		}
		return bucket.Put([]byte("k"), []byte("v"))
	}))
	require.NoError(t, db.Close())
	_, err = Open(path)
	require.ErrorIs(t, err, ErrCorrupt)
	require.ErrorContains(t, err, "another program")
}

func TestFlippedMetas(t *testing.T) {
	s := newSample(t)
	path := tempPath(t)
	page := os.Getpagesize()
	for at := range metaLen {
		both := bytes.Clone(s.image)
		both[pageHeader+at] ^= 0x10
		_, ok := readMeta(bytes.NewReader(both), 0)
		require.False(t, ok, "byte %d", at)
		require.NoError(t, s.tryImage(t, path, both), "one meta page is enough")
		both[page+pageHeader+metaLen-1-at] ^= 0x10
		require.Error(t, s.tryImage(t, path, both), "byte %d", at)
	}
}

// The newer of the two meta pages counts, also when only it says that the file is longer.
func TestCutBehindTheOlderMeta(t *testing.T) {
	path := tempPath(t)
	b, err := Open(path)
	require.NoError(t, err)
	defer b.Close()
	page := int64(os.Getpagesize())
	for i := 0; ; i++ {
		require.Less(t, i, 100)
		require.NoError(t, b.Put(t.Context(), fmt.Sprint(i), make([]byte, 15*page), time.Time{}))
		image, err := os.ReadFile(path)
		require.NoError(t, err)
		first, _ := readMeta(bytes.NewReader(image), 0)
		second, _ := readMeta(bytes.NewReader(image), page)
		older := min(first.pages, second.pages)
		if first.pages == second.pages {
			continue
		}
		cut := tempPath(t)
		require.NoError(t, os.WriteFile(cut, image[:older*uint64(page)], 0o600))
		_, err = Open(cut)
		require.ErrorIs(t, err, ErrCorrupt)
		if i > 3 {
			return // it was the first that was older, and it was the second
		}
	}
}

// A file that was refused can be put right in its place: the process that refused it does not keep it.
func TestDamagedFileIsReleased(t *testing.T) {
	s := newSample(t)
	page := 2 * os.Getpagesize()
	path := tempPath(t)
	damaged := append(bytes.Clone(s.image[:page]), make([]byte, len(s.image)-page)...)
	for range 3 {
		require.ErrorIs(t, s.tryImage(t, path, damaged), ErrCorrupt)
	}
	require.NoError(t, s.tryImage(t, path, s.image))
}

// A file that is cut while it is open faults where bbolt reads it. That costs the store, and not the process.
func TestCutWhileOpen(t *testing.T) {
	s := newSample(t)
	path := tempPath(t)
	require.NoError(t, os.WriteFile(path, s.image, 0o600))
	b, err := Open(path)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(path, int64(2*os.Getpagesize())))
	for range 2 {
		_, err = b.Get(t.Context(), "last")
		require.ErrorIs(t, err, ErrCorrupt)
		require.ErrorIs(t, b.Put(t.Context(), "k", nil, time.Time{}), ErrCorrupt)
	}
	require.NoError(t, b.Close())
	require.NoError(t, s.tryImage(t, path, s.image))
}

// Who opens a file that is being written to finds it in use, and never damaged.
func TestOpenWhileItGrows(t *testing.T) {
	b := openBolt(t, tempPath(t))
	stop := make(chan struct{})
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() { // ended by stop
			for {
				select {
				case <-stop:
					return
				default:
					assert.NoError(t, checkFile(b.path))
				}
			}
		})
	}
	for i := range 300 {
		require.NoError(t, b.Put(t.Context(), fmt.Sprint(i), make([]byte, MaxValue), time.Time{}))
	}
	close(stop)
	wait.Wait()
}

func TestLayEmpty(t *testing.T) {
	path := tempPath(t)
	require.NoError(t, layEmpty(path))
	requireSound(t, path)
	require.NoError(t, os.WriteFile(path, []byte("another process was quicker"), 0o600))
	require.NoError(t, layEmpty(path))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "another process was quicker", string(text))
}

func TestPathsThatCannotBeOpened(t *testing.T) {
	t.Run("the empty one", func(t *testing.T) {
		_, err := Open("")
		require.ErrorIs(t, err, ErrUnavailable)
		assert.ErrorContains(t, err, "the path is empty")
	})
	t.Run("a directory", func(t *testing.T) {
		_, err := Open(t.TempDir())
		require.ErrorIs(t, err, ErrUnavailable)
		assert.ErrorContains(t, err, "it is a directory; give the path of a file")
	})
	t.Run("below a file", func(t *testing.T) {
		file := tempPath(t)
		require.NoError(t, os.WriteFile(file, []byte("text"), 0o600))
		_, err := Open(filepath.Join(file, "sse.db"))
		require.ErrorIs(t, err, ErrUnavailable)
		assert.ErrorContains(t, err, "not a directory")
	})
	t.Run("no right to the file", func(t *testing.T) {
		if os.Getuid() == 0 {
			t.Skip("root has every right; the directory above stands in for it")
		}
		path := tempPath(t)
		require.NoError(t, os.WriteFile(path, nil, 0))
		_, err := Open(path)
		require.ErrorIs(t, err, ErrUnavailable)
		require.ErrorIs(t, err, os.ErrPermission)
		assert.ErrorContains(t, err, "let this program's user read and write it")
	})
	t.Run("no right to the directory", func(t *testing.T) {
		if os.Getuid() == 0 {
			t.Skip("root has every right")
		}
		dir := t.TempDir()
		require.NoError(t, os.Chmod(dir, 0o500))
		_, err := Open(filepath.Join(dir, "sse.db"))
		require.ErrorIs(t, err, os.ErrPermission)
	})
}
