package persist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// What the format of a bbolt file says about its meta pages. The file begins with two of them, one per page, and the one
// with the higher transaction number counts. Integers are in the byte order of the machine.
const (
	pageHeader = 16

	metaLen     = 64
	metaSummed  = 56 // of these bytes the last 8 hold the FNV-64a sum
	metaMagic   = 0xED0CDAED
	metaVersion = 2

	minPageSize = 1 << 10
	maxPageSize = 1 << 24
)

// A meta is what a meta page says, of what matters here.
type meta struct {
	pageSize uint64
	pages    uint64 // the high-water mark: pages that the database has
	txid     uint64
}

// readMeta returns the meta page at offset at, and false if there is no valid one.
func readMeta(f io.ReaderAt, at int64) (m meta, ok bool) {
	var page [pageHeader + metaLen]byte
	if _, err := f.ReadAt(page[:], at); err != nil {
		return meta{}, false
	}
	b, order := page[pageHeader:], binary.NativeEndian
	if order.Uint32(b) != metaMagic || order.Uint32(b[4:]) != metaVersion {
		return meta{}, false
	}
	sum := fnv.New64a()
	sum.Write(b[:metaSummed])
	if order.Uint64(b[metaSummed:]) != sum.Sum64() {
		return meta{}, false
	}
	m = meta{
		pageSize: uint64(order.Uint32(b[8:])),
		pages:    order.Uint64(b[40:]),
		txid:     order.Uint64(b[48:]),
	}
	return m, m.pageSize >= minPageSize && m.pageSize <= maxPageSize && m.pageSize&(m.pageSize-1) == 0
}

// checkLength returns an error if the file is shorter than the meta page that bbolt will go by says.
//
// One invalid meta page of two is no damage: a loss of power can tear the one that was being written, and then the
// transaction that it belongs to had not been acknowledged.
func checkLength(f *os.File) error {
	m, ok := readMeta(f, 0)
	if ok {
		if second, ok := readMeta(f, int64(m.pageSize)); ok && second.txid > m.txid {
			m = second
		}
	}
	// The page size is in the page that cannot be read, so the second one is looked for where it could be.
	for at := int64(minPageSize); !ok && at <= maxPageSize; at *= 2 {
		m, ok = readMeta(f, at)
	}
	if !ok {
		return errors.New("it is not a bbolt database, or its beginning was overwritten")
	}
	// After the meta pages were read: another process may be making the file longer.
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if whole := uint64(info.Size()) / m.pageSize; whole < m.pages {
		return fmt.Errorf("it was cut short: %d of %d pages are there", whole, m.pages)
	}
	return nil
}
