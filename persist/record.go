package persist

import "encoding/binary"

// A record is what the bbolt file holds under a key: when it expires (8 bytes), and the value.
const recordHeader = 8

// encodeRecord copies value.
func encodeRecord(value []byte, expires instant) []byte {
	rec := make([]byte, recordHeader, recordHeader+len(value))
	binary.BigEndian.PutUint64(rec, uint64(expires))
	return append(rec, value...)
}

// decodeRecord returns a value that points into rec.
func decodeRecord(rec []byte) (value []byte, expires instant) {
	if len(rec) < recordHeader {
		panic("a record is too short") // damage, which guard makes an error of
	}
	return rec[recordHeader:], instant(binary.BigEndian.Uint64(rec))
}

// appendExpiryKey appends the key of the expiry index: big-endian, so that what expires first comes first.
func appendExpiryKey(dst []byte, expires instant, key []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(expires))
	return append(dst, key...)
}

// splitExpiryKey undoes appendExpiryKey.
func splitExpiryKey(k []byte) (expires instant, key []byte, ok bool) {
	if len(k) <= 8 {
		return 0, nil, false
	}
	return instant(binary.BigEndian.Uint64(k)), k[8:], true
}
