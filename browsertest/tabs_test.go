package browsertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryEventCarriesTheID(t *testing.T) {
	s := startServer(t)
	b := openTab(t, s.url).live()
	id := b.events()[0].ID
	assert.Equal(t, id, b.id(), "what the page keeps")
	assert.Equal(t, "new", b.shown())

	s.post("/join?room=kitchen&id="+id, "")
	s.post("/send?id="+id, "to the tab")
	s.post("/room?room=kitchen", "to the room")
	s.post("/broadcast", "to all")
	b.has("to all")
	b.wait(`seen.events.some(e => e.type === "tabs")`)
	assert.Equal(t, []string{"to the tab", "to the room", "to all"}, b.messages())
	b.allAre(id)

	status, text := s.get("/sessions?id=" + url.QueryEscape(id))
	require.Equal(t, http.StatusOK, status, text)
	var told struct {
		Address string
		Live    bool
	}
	require.NoError(t, json.Unmarshal([]byte(text), &told))
	assert.Equal(t, b.address(), told.Address)
	assert.True(t, told.Live)
	assert.NotContains(t, eval[string](b, `document.documentElement.outerHTML`), id, "the page shows it to nobody")
}

func TestADroppedTabComesBackAsItself(t *testing.T) {
	s := startServer(t)
	p := startProxy(t, s)
	b := openTab(t, p.url).live()
	id, address := b.id(), b.address()

	b.press("drop")
	b.sessions(2)
	b.live()
	assert.Equal(t, "gap", b.shown())
	assert.Equal(t, address, b.address())
	assert.Equal(t, id, b.id())
	s.post("/send?id="+id, "after the drop")
	b.has("after the drop")
	b.allAre(id)
	assert.Equal(t, []streamRequest{{status: 200}, {header: id, status: 200}}, p.streams())
}

func TestAClosedTabStaysAway(t *testing.T) {
	s := startServer(t)
	p := startProxy(t, s)
	b := openTab(t, p.url).live()
	id := b.id()

	b.press("close")
	b.over()
	b.wait(`document.querySelector("#connection").textContent.startsWith("closed for good")`)
	events := b.events()
	assert.Equal(t, "close", events[len(events)-1].Type)
	b.allAre(id)
	until204 := []streamRequest{{status: 200}, {header: id, status: 204}}
	assert.Equal(t, until204, p.streams())

	// Nothing can be waited for here: that nothing happens is the point.
	time.Sleep(10 * time.Second)
	assert.Equal(t, 2, eval[int](b, `seen.source.readyState`))
	assert.Equal(t, until204, p.streams(), "requests after the close")

	status, text := s.get("/sessions")
	assert.Equal(t, http.StatusOK, status)
	assert.JSONEq(t, "[]", text)

	b.click("#restart")
	b.live()
	assert.Equal(t, "new", b.shown())
	assert.NotEqual(t, id, b.id())
}

func TestThreeTabsAreThree(t *testing.T) {
	s := startServer(t)
	tabs := []*tab{openTab(t, s.url).live(), openTab(t, s.url).live(), openTab(t, s.url).live()}
	ids, addresses := map[string]bool{}, map[string]bool{}
	for _, b := range tabs {
		ids[b.id()] = true
		addresses[b.address()] = true
	}
	assert.Len(t, ids, 3)
	assert.Len(t, addresses, 3)
	for _, b := range tabs {
		b.wait(`document.querySelectorAll("#tabs li").length === 3`)
		text := eval[string](b, `document.documentElement.outerHTML`)
		for address := range addresses {
			assert.Contains(t, text, address)
		}
		for id := range ids {
			assert.NotContains(t, text, id)
		}
	}

	// What comes after it, to all, shows that it is not still on its way.
	s.post("/send?id="+tabs[1].id(), "for the second")
	s.post("/broadcast", "for all")
	for _, b := range tabs {
		b.has("for all")
	}
	assert.Equal(t, []string{"for all"}, tabs[0].messages())
	assert.Equal(t, []string{"for the second", "for all"}, tabs[1].messages())
	assert.Equal(t, []string{"for all"}, tabs[2].messages())

	// The buttons do the same.
	tabs[0].click(fmt.Sprintf(`#tabs [data-address=%q] [data-do=send]`, tabs[2].address()))
	tabs[2].has("Hello!")
	tabs[0].click("#composer button")
	for _, b := range tabs {
		b.has("Hello!")
	}
	assert.Equal(t, []string{"for all", "Hello!"}, tabs[0].messages())
}

func TestAReloadKeepsTheID(t *testing.T) {
	s := startServer(t)
	p := startProxy(t, s)
	b := openTab(t, p.url).live()
	id, address := b.id(), b.address()
	want := []streamRequest{{status: 200}}
	for range 3 {
		b.reload()
		b.live()
		assert.Equal(t, "gap", b.shown())
		assert.Equal(t, address, b.address())
		assert.Equal(t, id, b.id())
		b.allAre(id)
		want = append(want, streamRequest{query: id, status: 200})
	}
	assert.Equal(t, want, p.streams())

	// The URL has the id of the page load, the header that of the last event.
	b.press("drop")
	b.sessions(2)
	assert.Equal(t, append(want, streamRequest{query: id, header: id, status: 200}), p.streams())
}

func TestADuplicateIsATabOfItsOwn(t *testing.T) {
	s := startServer(t)
	b := openTab(t, s.url).live()
	id, address := b.id(), b.address()

	twin := b.opened(func() { b.click("#duplicate") }).live()
	assert.Equal(t, "forked", twin.shown())
	assert.NotEqual(t, id, twin.id())
	assert.NotEqual(t, address, twin.address())

	s.post("/send?id="+id, "for the first")
	s.post("/send?id="+twin.id(), "for the twin")
	s.post("/broadcast", "for both")
	b.has("for both")
	twin.wait(`document.querySelector("#events").textContent.includes("for both")`)
	assert.Equal(t, []string{"for the first", "for both"}, b.messages())
	events := eval[string](twin, `document.querySelector("#events").textContent`)
	assert.Contains(t, events, "for the twin")
	assert.NotContains(t, events, "for the first")

	assert.Equal(t, address, b.address())
	assert.Equal(t, id, b.id())
	assert.Equal(t, 1, eval[int](b, `seen.opens`), "the first keeps its stream")
	assert.Empty(t, eval[[]int](b, `seen.errors`))
	b.allAre(id)

	// From now on they are two.
	own := twin.id()
	twin.reload()
	twin.live()
	assert.Equal(t, "gap", twin.shown())
	assert.Equal(t, own, twin.id())
}

func TestKillingTheServerForgetsNothing(t *testing.T) {
	s := startServer(t)
	b, closed := openTab(t, s.url).live(), openTab(t, s.url).live()
	id, address, closedID := b.id(), b.address(), closed.id()

	s.post("/close?id="+closedID, "")
	s.kill() // in the moment in which the close has been answered
	b.wait(`seen.source.readyState === 0`)
	s.start()

	b.sessions(2)
	b.live()
	assert.Equal(t, id, b.id())
	assert.Equal(t, address, b.address())
	b.allAre(id)

	closed.over()
	status, _ := s.get("/events?id=" + closedID)
	assert.Equal(t, http.StatusNoContent, status)
	again := openTab(t, s.url, fmt.Sprintf(`sessionStorage.setItem("id", %q)`, closedID))
	again.over()
	again.wait(`document.querySelector("#connection").textContent.startsWith("closed for good")`)
	assert.Empty(t, again.events())
	assert.Equal(t, 0, eval[int](again, `seen.opens`))

	s.kill()
	s.start()
	b.sessions(3)
	b.allAre(id)
	again.reload()
	again.over()
	assert.Empty(t, again.events())
}

func TestADropOverHTTP2(t *testing.T) {
	cert, key := certificate(t)
	s := startServer(t, "-tls-addr", "localhost:0", "-tls-cert", cert, "-tls-key", key)
	b := openTab(t, s.secure).live()
	id, address := b.id(), b.address()

	b.press("drop")
	b.sessions(2)
	b.live()
	assert.Equal(t, "gap", b.shown())
	assert.Equal(t, address, b.address())
	s.post("/send?id="+id, "after the drop")
	b.has("after the drop")
	b.allAre(id)
	assert.Equal(t, []string{"h2", "h2"}, b.streamProtocols())

	// More tabs than a browser has connections over HTTP/1.1.
	for range 7 {
		openTab(t, s.secure).live()
	}
	b.wait(`document.querySelectorAll("#tabs li").length === 8`)

	b.press("close")
	b.over()
	b.allAre(id)
}

func TestAPageOfAnotherOriginGetsNoStream(t *testing.T) {
	s := startServer(t)
	p := startProxy(t, s)
	b := openTab(t, p.url).live() // the proxy is no obstacle
	id := b.id()

	for _, path := range []string{"/events", "/events?id=" + id} {
		evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(w, `<!doctype html><script>
				const source = new EventSource(%q, {withCredentials: true});
				source.addEventListener("session", () => {});
			</script>`, p.url+path)
		}))
		defer evil.Close()
		for _, page := range []string{
			evil.URL, // same site, another port
			strings.Replace(evil.URL, "127.0.0.1", "localhost", 1), // another site
		} {
			before := len(p.streams())
			other := openTab(t, page)
			other.over()
			assert.Empty(t, other.events())
			assert.Equal(t, 0, eval[int](other, `seen.opens`))
			asked := p.streams()[before:]
			if assert.Len(t, asked, 1, page) {
				assert.Equal(t, http.StatusForbidden, asked[0].status)
			}
		}
	}
	assert.Equal(t, 1, eval[int](b, `seen.opens`), "the tab whose id it was")
	assert.Empty(t, eval[[]int](b, `seen.errors`))
}
