package browsertest

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testTime bounds each test, as a whole.
const testTime = 60 * time.Second

//go:embed recorder.js
var recorder string

// A tab is a tab of the browser.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu        sync.Mutex
	protocols []string // of the answers to /events
	faults    []string // of the page
}

// openTab opens a page in a new tab, with the recorder and, before it, any
// other scripts.
func openTab(t *testing.T, url string, scripts ...string) *tab {
	t.Helper()
	b := newTab(t)
	for _, script := range append(scripts, recorder) {
		_, err := chromedp.Call(b.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		require.NoError(t, err)
	}
	require.NoError(t, chromedp.Do(b.ctx, chromedp.Navigate(url)))
	return b
}

func newTab(t *testing.T, opts ...chromedp.ContextOption) *tab {
	t.Helper()
	own, closeTab := chromedp.NewContext(browser, opts...)
	t.Cleanup(closeTab)
	require.NoError(t, chromedp.Do(own)) // with the tab's own context, which it lives as long as
	b := &tab{t: t}
	var cancel context.CancelFunc
	b.ctx, cancel = context.WithTimeout(own, testTime)
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Listen(b.ctx, b.heed))
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		assert.Empty(t, b.faults, "the page's faults")
	})
	return b
}

// heed looks at what the browser says of the tab.
func (b *tab) heed(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch ev := ev.(type) {
	case *network.EventResponseReceived:
		if strings.Contains(ev.Response.URL, "/events") {
			b.protocols = append(b.protocols, ev.Response.Protocol)
		}
	case *runtime.EventExceptionThrown:
		b.faults = append(b.faults, (&chromedp.ExceptionError{ExceptionDetails: ev.ExceptionDetails}).Error())
	case *log.EventEntryAdded:
		if strings.Contains(ev.Entry.Text, "Content Security Policy") {
			b.faults = append(b.faults, ev.Entry.Text)
		}
	}
}

// eval evaluates an expression in the page.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	require.NoError(b.t, err, expression)
	return v
}

// wait waits until an expression is true in the page, which may be loaded anew
// meanwhile.
func (b *tab) wait(expression string) {
	b.t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		if ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](expression)); err == nil && ok {
			return
		}
		select {
		case <-look.C:
		case <-b.ctx.Done():
			require.FailNow(b.t, "it did not come to be: "+expression, b.state())
		}
	}
}

// state is what the page looks like, for the reader of a failure. The test's
// time is up then, so it has a little of its own.
func (b *tab) state() string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.ctx), 5*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + "\n" + JSON.stringify(window.seen ?? null) + "\n" + document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return text
}

// click clicks on what a CSS selector finds.
func (b *tab) click(selector string) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, chromedp.Click(chromedp.CSS(selector))))
}

// press clicks a button in the tab's own row of the list.
func (b *tab) press(what string) {
	b.t.Helper()
	b.wait(`!!document.querySelector("#tabs .me")`)
	b.click("#tabs .me [data-do=" + what + "]")
}

// reload loads the page anew.
func (b *tab) reload() {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, chromedp.Reload()))
}

// live waits until the stream is open and says who this is.
func (b *tab) live() *tab {
	b.t.Helper()
	b.wait(`document.querySelector("#connection").dataset.connection === "live"`)
	return b
}

// What the page shows and knows.

func (b *tab) address() string {
	return eval[string](b, `document.querySelector("#address").textContent`)
}
func (b *tab) shown() string { return eval[string](b, `document.querySelector("#state").textContent`) }
func (b *tab) id() string    { return eval[string](b, `sessionStorage.getItem("id") ?? ""`) }

// What the recorder has seen.

type event struct {
	Type string `json:"type"`
	ID   string `json:"id"`
	Data string `json:"data"`
}

func (b *tab) events() []event { return eval[[]event](b, `seen.events`) }

// messages are the data of the events named "message".
func (b *tab) messages() (data []string) {
	for _, e := range b.events() {
		if e.Type == "message" {
			data = append(data, e.Data)
		}
	}
	return data
}

// has waits until a message has come.
func (b *tab) has(message string) {
	b.t.Helper()
	b.wait(fmt.Sprintf(`seen.events.some(e => e.type === "message" && e.data === %q)`, message))
}

// sessions waits for the n-th time that the stream has begun.
func (b *tab) sessions(n int) {
	b.t.Helper()
	b.wait(fmt.Sprintf(`seen.events.filter(e => e.type === "session").length >= %d`, n))
}

// over waits until the EventSource has given up.
func (b *tab) over() {
	b.t.Helper()
	b.wait(`seen.source?.readyState === 2`)
}

// allAre checks that all events have this id.
func (b *tab) allAre(id string) {
	b.t.Helper()
	events := b.events()
	assert.NotEmpty(b.t, events)
	for _, e := range events {
		assert.Equal(b.t, id, e.ID, "lastEventId of %q", e.Type)
	}
}

func (b *tab) streamProtocols() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string{}, b.protocols...)
}

// opened is the tab that this one opens when do is done.
func (b *tab) opened(do func()) *tab {
	b.t.Helper()
	ids := chromedp.WaitNewTarget(b.ctx, func(info *target.Info) bool { return info.Type == "page" })
	do()
	select {
	case id := <-ids:
		return newTab(b.t, chromedp.WithTargetID(id))
	case <-b.ctx.Done():
		require.FailNow(b.t, "no tab was opened")
		return nil
	}
}
