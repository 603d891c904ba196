package persist

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// holder finds the process that has the file locked, and its name. It returns 0 where the kernel does not say: across
// containers, and on file systems whose devices have two numbers.
func holder(path string) (pid int, name string) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, ""
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, ""
	}
	dev := uint64(stat.Dev)
	id := fmt.Sprintf("%02x:%02x:%d", unix.Major(dev), unix.Minor(dev), stat.Ino)

	locks, err := os.Open("/proc/locks")
	if err != nil {
		return 0, ""
	}
	defer locks.Close()
	for lines := bufio.NewScanner(locks); lines.Scan(); {
		// 1: FLOCK  ADVISORY  WRITE 4711 fe:00:1234567 0 EOF
		f := strings.Fields(lines.Text())
		if len(f) < 6 || f[1] != "FLOCK" || f[5] != id {
			continue // also a line of one who waits: it has "->" before the word
		}
		if pid, err = strconv.Atoi(f[4]); err != nil || pid <= 0 {
			return 0, ""
		}
		comm, _ := os.ReadFile("/proc/" + f[4] + "/comm")
		return pid, strings.TrimSpace(string(comm))
	}
	return 0, ""
}
