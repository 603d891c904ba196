package persist

import (
	"bytes"
	"container/heap"
	"context"
	"crypto/rand"
	"sync"
	"time"
)

// reclaimPerWrite is how many expired entries a write removes at most. More than one, so that the expired ones become
// fewer while as many are written as expire; few, so that no write pays for a crowd.
const reclaimPerWrite = 2

// Memory is a Store and a Keyring that lasts as long as the process: what it keeps is gone after a restart, closed tabs
// come back, and ids signed before are worth nothing. It is for tests, and for programs that accept that.
//
// It starts no goroutine. The space of expired entries is reclaimed by later writes, two at a time.
type Memory struct {
	mu      sync.Mutex // held for memory only
	entries map[string]*memoryEntry
	expiry  expiryHeap
	key     []byte
	closed  bool
}

var (
	_ Store   = (*Memory)(nil)
	_ Keyring = (*Memory)(nil)
)

// NewMemory returns an empty store with a random key of its own.
func NewMemory() *Memory {
	key := make([]byte, newKeyLen)
	rand.Read(key) // never fails: it ends the program rather than return weak bytes
	return &Memory{entries: make(map[string]*memoryEntry), key: key}
}

// Get implements Store.
func (m *Memory) Get(ctx context.Context, key string) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	e, ok := m.entries[key]
	if !ok || e.expires.passed(now()) {
		return nil, ErrNotFound
	}
	return append([]byte{}, e.value...), nil
}

// Put implements Store.
func (m *Memory) Put(ctx context.Context, key string, value []byte, expires time.Time) error {
	return m.write(ctx, key, value, expires, false)
}

// Add implements Store.
func (m *Memory) Add(ctx context.Context, key string, value []byte, expires time.Time) error {
	return m.write(ctx, key, value, expires, true)
}

func (m *Memory) write(ctx context.Context, key string, value []byte, expires time.Time, onlyNew bool) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if err := checkValue(value); err != nil {
		return err
	}
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	at := now()
	if e, ok := m.entries[key]; ok {
		if onlyNew && !e.expires.passed(at) {
			return ErrExists
		}
		m.remove(e)
	}
	m.reclaim(at)
	e := &memoryEntry{key: key, value: bytes.Clone(value), expires: instantOf(expires)}
	m.entries[key] = e
	if e.expires != never {
		heap.Push(&m.expiry, e)
	}
	return nil
}

// Delete implements Store.
func (m *Memory) Delete(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if e, ok := m.entries[key]; ok {
		m.remove(e)
	}
	m.reclaim(now())
	return nil
}

// Keys implements Keyring: one key, made with the store.
func (m *Memory) Keys() ([][]byte, error) {
	if err := m.begin(context.Background()); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	return [][]byte{bytes.Clone(m.key)}, nil
}

// Close implements Store. It forgets everything and does not wait.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed, m.entries, m.expiry, m.key = true, nil, nil, nil
	return nil
}

// begin returns with m.mu held, or with the error that the call returns.
func (m *Memory) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return ErrClosed
	}
	return nil
}

// reclaim removes a few of the entries that have expired, the longest expired first.
func (m *Memory) reclaim(at instant) {
	for range reclaimPerWrite {
		if len(m.expiry) == 0 || !m.expiry[0].expires.passed(at) {
			return
		}
		m.remove(m.expiry[0])
	}
}

func (m *Memory) remove(e *memoryEntry) {
	delete(m.entries, e.key)
	if e.expires != never {
		heap.Remove(&m.expiry, e.index)
	}
}

// A memoryEntry is in the map, and in the heap too when it expires.
type memoryEntry struct {
	key     string
	value   []byte
	expires instant
	index   int // in the heap
}

// expiryHeap has the entry that expires next at its top. It holds no stale entries: one that is replaced is removed.
type expiryHeap []*memoryEntry

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].expires < h[j].expires }
func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *expiryHeap) Push(x any) {
	e := x.(*memoryEntry)
	e.index = len(*h)
	*h = append(*h, e)
}

func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return e
}
