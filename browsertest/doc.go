// Package browsertest drives examples/tabs with a real browser, whose native
// EventSource is the judge of what packages sse promises: that a tab keeps its
// identity, and that a closed one stays away. It needs Chromium and has no code
// but tests:
//
//	go test -count=1 ./...
//
// With -count=1, because Go's test cache does not know that the result depends
// on the program's files. With -short nothing is done.
package browsertest
