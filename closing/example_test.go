package closing_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"time"

	"github.com/lastevent/sse/closing"
	"github.com/lastevent/sse/persist"
)

func ExampleLedger() {
	store := persist.NewMemory()
	defer store.Close()
	ledger := closing.NewLedger(store, 30*24*time.Hour)
	ctx := context.Background()

	fmt.Println(ledger.Closed(ctx, "FeP2LX7n--dS87D-"))
	fmt.Println(ledger.Close(ctx, "FeP2LX7n--dS87D-"))
	fmt.Println(ledger.Closed(ctx, "FeP2LX7n--dS87D-"))

	w := httptest.NewRecorder()
	closing.NoContent(w) // what its browser is answered from now on
	fmt.Println(w.Code, w.Header().Get("Cache-Control"))
	// Output:
	// false <nil>
	// <nil>
	// true <nil>
	// 204 no-store
}
