package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// lockWait is long enough for the predecessor of a restart to finish, and short enough to notice.
const lockWait = time.Second

// openFile opens the database at path, and makes it if there is none. The file is the one that db uses.
func openFile(path string) (db *bolt.DB, file *os.File, err error) {
	if err := makeDir(filepath.Dir(path)); err != nil {
		return nil, nil, pathError("making the directory of", path, err)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := layEmpty(path); err != nil {
			return nil, nil, pathError("making", path, err)
		}
	}
	if err := checkFile(path); err != nil {
		return nil, nil, err
	}
	err = guard(func() (err error) {
		db, err = bolt.Open(path, 0o600, boltOptions(func(name string, flag int, mode os.FileMode) (*os.File, error) {
			file, err = os.OpenFile(name, flag, mode)
			return file, err
		}))
		return err
	})
	var caught *panicError
	switch {
	case err == nil:
		return db, file, nil
	case errors.As(err, &caught):
		abandon(file)
		return nil, nil, corruptError(path, err)
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, nil, lockedError(path)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, nil, corruptError(path, err)
	}
	return nil, nil, pathError("opening", path, err)
}

// abandon closes a file in which bbolt has panicked: bbolt's own locks may be held by what has, so that its Close would
// wait for ever. The mapping stays until the process ends.
func abandon(file *os.File) {
	unlock(file)
	file.Close()
}

// boltOptions are the same wherever this package opens a file.
//
// The list of free pages is kept in the file (NoFreelistSync is false). Without it bbolt would scan the whole file at
// each opening and after every failed commit, that is again and again while a disk is full. What keeping it costs is one
// more page in a commit that is waiting for the disk anyway.
func boltOptions(open func(string, int, os.FileMode) (*os.File, error)) *bolt.Options {
	return &bolt.Options{
		Timeout:      lockWait,
		FreelistType: bolt.FreelistMapType, // allocation in constant time, also after a sweep has freed very much
		OpenFile:     open,
		NoStatistics: true, // they cost readers a shared lock
	}
}

// checkFile refuses what bbolt must not map. A mapping of a file that is shorter than it says of itself ends in a fault
// at some later read. A file that another process is writing to is never that short: bbolt lengthens it before it says so.
func checkFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // a link that leads nowhere yet: bbolt makes the file
	case err != nil:
		return pathError("opening", path, err)
	case info.IsDir():
		return fmt.Errorf("%w: opening %s: it is a directory; give the path of a file", ErrUnavailable, path)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: %s is not a regular file; give the path of one", ErrUnavailable, path)
	case info.Size() == 0:
		return nil // bbolt makes a database of it
	}
	file, err := os.Open(path)
	if err != nil {
		return pathError("opening", path, err)
	}
	defer file.Close()
	return corruptError(path, checkLength(file))
}

// layEmpty puts an empty database at path, where there was nothing. One that was made in place could be cut short by a
// crash in its first moment, and be damaged ever after, though nothing had been stored in it. If another process is
// quicker, its file stays.
func layEmpty(path string) error {
	sweepEmpties(filepath.Dir(path))
	dir, err := os.MkdirTemp(filepath.Dir(path), emptyPattern) // 0700
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fresh := filepath.Join(dir, "sse.db")
	db, err := bolt.Open(fresh, 0o600, boltOptions(nil))
	if err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	if err := os.Link(fresh, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil // no links here: bbolt makes it in place
	}
	return syncDir(filepath.Dir(path))
}

// emptyPattern is the name of what layEmpty works in.
const emptyPattern = ".sse-new-*"

// sweepEmpties removes what a process has left that was killed in layEmpty.
func sweepEmpties(dir string) {
	left, _ := filepath.Glob(filepath.Join(dir, emptyPattern))
	for _, name := range left {
		if info, err := os.Stat(name); err == nil && time.Since(info.ModTime()) > time.Minute {
			os.RemoveAll(name)
		}
	}
}

// pathError is for a path that cannot be opened.
func pathError(what, path string, err error) error {
	remedy := "try again when the cause is gone"
	if errors.Is(err, fs.ErrPermission) {
		remedy = "let this program's user read and write it, or give the path of another file"
	}
	if inner := (*fs.PathError)(nil); errors.As(err, &inner) && inner.Path == path {
		err = inner.Err // the text has the path already
	}
	return fmt.Errorf("%w: %s %s: %w; %s", ErrUnavailable, what, path, err, remedy)
}

func corruptError(path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %s: %w; restore the file from a backup, or move it away to begin with an empty store "+
		"(tabs that were closed may then come back)", ErrCorrupt, path, err)
}

// lockedError says who has the file, as far as it can be known.
func lockedError(path string) error {
	const remedy = "give this program a file of its own"
	switch pid, name := holder(path); {
	case pid == 0:
		return fmt.Errorf("%w: another process has %s; stop it, or %s", ErrLocked, path, remedy)
	case pid == os.Getpid():
		return fmt.Errorf("%w: this process (%d) has %s open already; share the store, or give each its own file",
			ErrLocked, pid, path)
	default:
		return fmt.Errorf("%w: process %d (%s) has %s; stop it, or %s", ErrLocked, pid, name, path, remedy)
	}
}
