//go:build !windows && !plan9 && !solaris && !aix

package persist

import (
	"os"
	"syscall"
)

// unlock gives up bbolt's lock. Closing the file is not enough while a mapping of it is left.
func unlock(file *os.File) { syscall.Flock(int(file.Fd()), syscall.LOCK_UN) }
