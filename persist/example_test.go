package persist_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/lastevent/sse/persist"
)

func ExampleOpen() {
	dir, _ := os.MkdirTemp("", "example")
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "sse.db")
	ctx := context.Background()

	store, err := persist.Open(path)
	if err != nil {
		fmt.Println(err) // says who has the file, or what is wrong with it, and what to do
		return
	}
	fmt.Println(store.Add(ctx, "greeting", []byte("hello"), time.Now().Add(time.Hour)))
	fmt.Println(store.Add(ctx, "greeting", []byte("again"), time.Now().Add(time.Hour)))
	store.Close()

	store, _ = persist.Open(path)
	defer store.Close()
	value, _ := store.Get(ctx, "greeting")
	fmt.Printf("%s\n", value)
	_, err = store.Get(ctx, "farewell")
	fmt.Println(errors.Is(err, persist.ErrNotFound))
	// Output:
	// <nil>
	// sse: key exists
	// hello
	// true
}
