package sse

import "time"

// CloseDefault makes the next use of the default server its first.
func CloseDefault() {
	preset.mu.Lock()
	defer preset.mu.Unlock()
	if preset.server != nil {
		preset.server.Close()
	}
	preset.server, preset.err, preset.tried = nil, nil, time.Time{}
}
