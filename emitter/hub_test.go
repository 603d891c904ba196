package emitter

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// attach makes a connection at p, or says why it cannot be.
func attach(t testing.TB, h *Hub, p Place) (*line, error) {
	t.Helper()
	l := dial(t, h, p.Address)
	err := place(h, l.Conn, p)
	if err == nil {
		l.Open(3*time.Second, nil)
		t.Cleanup(l.hangUp)
	}
	return l, err
}

// sameConns compares by identity: the connections are in use.
func sameConns(t testing.TB, got []*Conn, want ...*line) {
	t.Helper()
	require.Len(t, got, len(want))
	for _, l := range want {
		require.True(t, slices.Contains(got, l.Conn), "%s is missing", l.id)
	}
}

// check looks for what must always hold of a hub's memory.
func (h *Hub) check(t testing.TB) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	live := 0
	for address, m := range h.members {
		require.Equal(t, address, m.address)
		if m.conn != nil {
			live++
			require.Same(t, m, m.conn.member)
			require.Nil(t, m.place, "away and here")
		} else {
			require.NotNil(t, m.place, "neither away nor here")
		}
		for name := range m.rooms {
			require.Contains(t, h.rooms[name], m)
		}
		if m.owner != "" {
			require.Contains(t, h.owners[m.owner], m)
		}
	}
	require.Equal(t, live, h.live)
	require.Equal(t, len(h.members)-live, h.away.Len())
	for name, in := range h.rooms {
		require.NotEmpty(t, in)
		for m := range in {
			require.Same(t, h.members[m.address], m, "a ghost in %s", name)
			require.Contains(t, m.rooms, name)
		}
	}
	for name, of := range h.owners {
		require.NotEmpty(t, of)
		for m := range of {
			require.Same(t, h.members[m.address], m, "a ghost of %s", name)
			require.Equal(t, name, m.owner)
		}
	}
}

func TestTopics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHub(t, settings())
		lines := map[string]*line{}
		for _, p := range []Place{
			{Address: "a1", Owner: "ann", Rooms: []string{"x"}},
			{Address: "a2", Owner: "ann", Rooms: []string{"y", "x"}},
			{Address: "b1", Owner: "bob", Rooms: []string{"y"}},
			{Address: "n1"},
			{Address: "x"}, // called like a room, and in none
		} {
			lines[p.Address] = join(t, h, p)
		}
		away := join(t, h, Place{Address: "b2", Owner: "bob", Rooms: []string{"x"}})
		away.hangUp()
		for name, c := range map[string]struct {
			topic Topic
			live  []string
			known []string
		}{
			"tab":           {Tab("a1"), []string{"a1"}, nil},
			"tab away":      {Tab("b2"), []string{}, []string{"b2"}},
			"tab unknown":   {Tab("zz"), []string{}, nil},
			"tab of owner":  {Tab("ann"), []string{}, nil},
			"owner":         {Owner("ann"), []string{"a1", "a2"}, nil},
			"owner away":    {Owner("bob"), []string{"b1"}, []string{"b1", "b2"}},
			"owner unknown": {Owner("zz"), []string{}, nil},
			"owner nobody":  {Owner(""), []string{}, nil},
			"room":          {Room("x"), []string{"a1", "a2"}, []string{"a1", "a2", "b2"}},
			"other room":    {Room("y"), []string{"a2", "b1"}, nil},
			"room unknown":  {Room("zz"), []string{}, nil},
			"room of owner": {Room("ann"), []string{}, nil},
			"all":           {All(), []string{"a1", "a2", "b1", "n1", "x"}, []string{"a1", "a2", "b1", "b2", "n1", "x"}},
		} {
			if c.known == nil {
				c.known = c.live
			}
			assert.Equal(t, c.live, h.Addresses(c.topic), name)
			assert.Equal(t, len(c.live), h.Count(c.topic), name)
			assert.ElementsMatch(t, c.known, h.Known(c.topic), name)
			assert.Len(t, h.Conns(c.topic), len(c.live), name)
			assert.Equal(t, len(c.live), publish(h, c.topic, text(t, name)), name)
			synctest.Wait()
			for address, l := range lines {
				assert.Equal(t, slices.Contains(c.live, address), slices.Contains(l.peer.data(), name), "%s to %s", name, address)
			}
		}
		assert.NotContains(t, away.peer.data(), "all")
		assert.Equal(t, Stats{Connections: 5, Away: 1, Events: 13}, Stats{Connections: h.Stats().Connections, Away: h.Stats().Away, Events: h.Stats().Events})
		h.check(t)
	})
}

func TestRooms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHub(t, settings()) // four rooms a session
		a := join(t, h, Place{Address: "a", Owner: "ann"})
		join(t, h, Place{Address: "b", Owner: "ann"})

		require.NoError(t, h.Join(Tab("a"), "x", "y"))
		require.NoError(t, h.Join(Tab("a"), "x"), "again")
		require.Equal(t, []string{"x", "y"}, h.Rooms("a"))
		require.True(t, h.InRoom("a", "x"))
		require.False(t, h.InRoom("b", "x"))
		require.False(t, h.InRoom("nobody", "x"))
		require.Equal(t, []string{}, h.Rooms("nobody"))
		require.NoError(t, h.Join(Tab("a")), "no rooms")

		require.NoError(t, h.Join(Owner("ann"), "z"))
		require.Equal(t, []string{"a", "b"}, h.Addresses(Room("z")))
		require.NoError(t, h.Join(Room("x"), "w"), "who is in x")
		require.Equal(t, []string{"a"}, h.Addresses(Room("w")))

		require.NoError(t, h.Leave(Tab("a"), "x", "never was there"))
		require.Equal(t, []string{"w", "y", "z"}, h.Rooms("a"))
		require.NoError(t, h.Leave(Room("z"), "z", "y"), "while going through it")
		require.Zero(t, h.Count(Room("z")))
		require.Equal(t, []string{"w"}, h.Rooms("a"))
		h.check(t)

		require.ErrorIs(t, h.Join(Tab("nobody"), "x"), ErrAbsent)
		require.ErrorIs(t, h.Leave(Tab("nobody"), "x"), ErrAbsent)
		require.NoError(t, h.Join(Owner("nobody"), "x"))
		require.NoError(t, h.Leave(Room("nobody"), "x"))
		require.ErrorIs(t, h.Join(Tab("nobody"), ""), ErrRoom)

		a.hangUp() // away, with room w
		require.NoError(t, h.Join(Tab("a"), "x"), "it keeps its rooms, so it may change them")
		require.NoError(t, h.Leave(Tab("a"), "w"))
		require.Equal(t, []string{"x"}, h.Rooms("a"))
		require.Equal(t, []string{"a"}, h.Known(Room("x")))
		require.Zero(t, h.Count(Room("x")))
		h.check(t)
	})
}

func TestRoomLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHub(t, settings())
		join(t, h, Place{Address: "a", Owner: "ann", Rooms: []string{"1", "2", "3"}})
		join(t, h, Place{Address: "b", Owner: "ann"})

		require.ErrorIs(t, h.Join(Tab("a"), "4", "5"), ErrRoom)
		require.Equal(t, []string{"1", "2", "3"}, h.Rooms("a"), "all or nothing")
		require.ErrorIs(t, h.Join(Owner("ann"), "4", "5"), ErrRoom, "too many for a")
		require.Equal(t, []string{}, h.Rooms("b"), "all of the topic or none")
		require.ErrorIs(t, h.Join(Tab("b"), "4", "\n"), ErrRoom)
		require.Equal(t, []string{}, h.Rooms("b"))
		require.NoError(t, h.Join(Tab("a"), "3", "4"), "one of them is new")
		require.NoError(t, h.Join(Tab("a"), "1", "2", "3", "4"))
		require.ErrorIs(t, h.Join(Tab("a"), "5"), ErrRoom)
		require.NoError(t, h.Leave(Tab("a"), "1"))
		require.NoError(t, h.Join(Tab("a"), "5"))

		_, err := attach(t, h, Place{Address: "c", Rooms: []string{"1", "2", "3", "4", "5"}})
		require.ErrorIs(t, err, ErrRoom)
		_, err = attach(t, h, Place{Address: "c", Rooms: []string{"1", ""}})
		require.ErrorIs(t, err, ErrRoom)
		require.Empty(t, h.Known(Tab("c")))
		h.check(t)
	})
}

// A room that is named twice in one call is one room.
func TestRoomNamedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHub(t, settings())
		join(t, h, Place{Address: "a", Rooms: []string{"1", "2", "3"}})
		assert.NoError(t, h.Join(Tab("a"), "4", "4"))
		assert.Len(t, h.Rooms("a"), 4)
	})
}

func TestCheckRoom(t *testing.T) {
	for _, name := range []string{"x", "a room", "ü", "/a:b?c", strings.Repeat("x", MaxRoom), "\u2028"} {
		assert.NoError(t, CheckRoom(name), "%q", name)
	}
	for _, name := range []string{"", strings.Repeat("x", MaxRoom+1), "a\nb", "\r", "\x00", "a\x7f", "\x1f", "\xff"} {
		assert.ErrorIs(t, CheckRoom(name), ErrRoom, "%q", name)
	}
}

func TestAttachBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHub(t, settings())
		a := join(t, h, Place{Address: "a"})
		_, err := attach(t, h, Place{Address: "a"})
		require.ErrorIs(t, err, ErrBusy)
		require.NoError(t, a.Err(), "the one that is there stays")
		sameConns(t, h.Conns(Tab("a")), a)
		a.hangUp()
		b, err := attach(t, h, Place{Address: "a"})
		require.NoError(t, err)
		sameConns(t, h.Conns(Tab("a")), b)
		require.Equal(t, 1, h.Count(All()))
		h.check(t)
	})
}

func TestTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHub(t, settings())
		old := join(t, h, Place{Address: "a", Owner: "ann", Rooms: []string{"x"}})
		l, err := attach(t, h, Place{Address: "a", Owner: "ann", TakeOver: true})
		require.NoError(t, err)
		<-old.Done()
		old.peer.ended(true)
		require.ErrorIs(t, old.Err(), ErrTakenOver)
		require.ErrorIs(t, old.Send(text(t, "x")), ErrTakenOver)
		require.Equal(t, 1, publish(h, Room("x"), text(t, "to the new")), "the rooms stay")
		synctest.Wait()
		require.Equal(t, []string{"to the new"}, l.peer.data())
		require.Empty(t, old.peer.data())
		require.Equal(t, 1, h.Count(All()))
		h.check(t)

		// A take-over of nothing is an ordinary connection.
		_, err = attach(t, h, Place{Address: "b", TakeOver: true})
		require.NoError(t, err)
		require.Equal(t, 2, h.Count(All()))
	})
}

// Take-overs of a session are counted as long as each is within a minute of the
// last; those of a corpse are not, and of a corpse it is only that one.
func TestTakeoversAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHub(t, settings()) // three
		take := func() error {
			_, err := attach(t, h, Place{Address: "a", TakeOver: true})
			return err
		}
		join(t, h, Place{Address: "a"})
		time.Sleep(time.Hour)
		for range 2 {
			for range 3 {
				time.Sleep(time.Minute - 1)
				require.NoError(t, take())
			}
			require.ErrorIs(t, take(), ErrBusy)
			living := h.Conns(Tab("a"))[0]
			for range 5 {
				l, err := attach(t, h, Place{Address: "a", Corpse: living})
				require.NoError(t, err)
				busy, err := h.Attach(dial(t, h, "a").Conn, Place{Address: "a", TakeOver: true, Corpse: living})
				require.ErrorIs(t, err, ErrBusy, "it is another one by now")
				require.True(t, busy == l.Conn)
				living = l.Conn
			}
			_, err := attach(t, h, Place{Address: "b", TakeOver: true})
			require.NoError(t, err, "another session is not concerned")
			h.Conns(Tab("b"))[0].End(Ending{Err: errOver})
			time.Sleep(time.Minute - 1)
			require.ErrorIs(t, take(), ErrBusy, "a nanosecond before the minute is over")
			time.Sleep(time.Nanosecond)
		}
		h.check(t)
	})
}

func TestAttachForeign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHub(t, settings())
		a := join(t, h, Place{Address: "a", Owner: "ann", Rooms: []string{"x"}})
		for _, owner := range []string{"bob", ""} {
			_, err := attach(t, h, Place{Address: "a", Owner: owner, TakeOver: true, Corpse: a.Conn})
			require.ErrorIs(t, err, ErrForeign)
		}
		require.NoError(t, a.Err())
		a.hangUp()
		_, err := attach(t, h, Place{Address: "a", Owner: "bob"})
		require.ErrorIs(t, err, ErrForeign, "of one that is away")
		require.Equal(t, []string{"x"}, h.Rooms("a"))
		h.Forget("a")
		_, err = attach(t, h, Place{Address: "a", Owner: "bob"})
		require.NoError(t, err)
		require.Equal(t, []string{}, h.Rooms("a"))
		h.check(t)
	})
}

func TestAttachTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opt := settings()
		opt.Conns, opt.OwnerConns = 5, 2
		h := startHub(t, opt)
		first := join(t, h, Place{Address: "a1", Owner: "ann", Rooms: []string{"x"}})
		join(t, h, Place{Address: "a2", Owner: "ann"})
		_, err := attach(t, h, Place{Address: "a3", Owner: "ann"})
		require.ErrorIs(t, err, ErrTooMany, "per owner")
		_, err = attach(t, h, Place{Address: "a2", Owner: "ann", TakeOver: true})
		require.NoError(t, err, "a take-over makes none more")
		first.hangUp() // is away, and does not count
		_, err = attach(t, h, Place{Address: "a3", Owner: "ann"})
		require.NoError(t, err)
		_, err = attach(t, h, Place{Address: "a1", Owner: "ann"})
		require.ErrorIs(t, err, ErrTooMany, "nor may it come back")
		require.Equal(t, []string{"x"}, h.Rooms("a1"), "but it is still away")
		for i := range 3 {
			_, err = attach(t, h, Place{Address: fmt.Sprint(i)})
			require.NoError(t, err, "nobody is no owner")
		}
		_, err = attach(t, h, Place{Address: "b1", Owner: "bob"})
		require.ErrorIs(t, err, ErrTooMany, "per hub")
		_, err = attach(t, h, Place{Address: "1", TakeOver: true})
		require.NoError(t, err)
		require.Equal(t, 5, h.Count(All()))
		h.Conns(Tab("2"))[0].End(Ending{Err: errOver})
		_, err = attach(t, h, Place{Address: "b1", Owner: "bob"})
		require.NoError(t, err)
		h.check(t)
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHub(t, settings())
		a := join(t, h, Place{Address: "a"})
		b := join(t, h, Place{Address: "b"})
		sameConns(t, h.Close(), a, b)
		_, err := attach(t, h, Place{Address: "c"})
		require.ErrorIs(t, err, ErrHubClosed)
		_, err = attach(t, h, Place{Address: "a", TakeOver: true})
		require.ErrorIs(t, err, ErrHubClosed)
		require.NoError(t, a.Err(), "the caller ends them")
		require.Equal(t, 2, publish(h, All(), text(t, "bye")))
		a.hangUp()
		sameConns(t, h.Close(), b)
	})
}

// Close returns those as well that have ended and still write: of the hub's
// topics they are no more, but their responses are in use.
func TestCloseReturnsTheLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHub(t, settings())
		slow := join(t, h, Place{Address: "a"})
		taken := join(t, h, Place{Address: "b"})
		unblock := slow.peer.block()
		require.NoError(t, slow.Send(text(t, "x")))
		slow.End(Ending{Err: errFirst, Drain: true})
		unblockTaken := taken.peer.block()
		require.NoError(t, taken.Send(text(t, "x")))
		taken.End(Ending{Err: errFirst, Drain: true})
		b := join(t, h, Place{Address: "b"})
		require.Empty(t, h.Conns(Tab("a")))
		sameConns(t, h.Close(), slow, taken, b)
		unblock()
		<-slow.Done()
		sameConns(t, h.Close(), taken, b)
		unblockTaken()
		b.hangUp()
		taken.hangUp()
		synctest.Wait()
		require.Empty(t, h.Close())
	})
}

// After Stop there is no goroutine left: the bubble fails if there is.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHub(settings())
		h.Stop()
		select {
		case <-h.watch.done:
		default:
			t.Error("Stop has not waited")
		}
		h = NewHub(settings())
		for i := range 10 {
			l := dial(t, h, fmt.Sprint(i))
			require.NoError(t, place(h, l.Conn, Place{Address: fmt.Sprint(i)}))
			l.Open(time.Second, nil)
			require.NoError(t, l.Send(text(t, "x")))
			if i%2 == 0 {
				l.hangUp()
			} else {
				defer l.hangUp() // ends after Stop
			}
		}
		time.Sleep(time.Minute)
		h.Stop()
		synctest.Wait()
	})
}

// An old connection that ends after it was taken over takes nothing with it.
func TestCleanUpIsByConnection(t *testing.T) {
	for name, end := range map[string]func(old *line){
		"drain":   func(old *line) { old.End(Ending{Err: errOver, Drain: true}) },
		"cut":     func(old *line) { old.End(Ending{Err: errOver, How: Cut}) },
		"discard": func(old *line) { old.Discard(errOver) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := startHub(t, settings())
				old := dial(t, h, "a")
				require.NoError(t, place(h, old.Conn, Place{Address: "a", Owner: "ann", Rooms: []string{"x"}}))
				l, err := attach(t, h, Place{Address: "a", Owner: "ann", TakeOver: true})
				require.NoError(t, err)
				end(old)
				if name != "discard" {
					old.Open(time.Second, nil)
				}
				<-old.Done()
				sameConns(t, h.Conns(Tab("a")), l)
				require.Equal(t, []string{"a"}, h.Addresses(Owner("ann")))
				require.Equal(t, []string{"a"}, h.Addresses(Room("x")))
				require.Equal(t, 1, h.Count(All()))
				require.NoError(t, l.Err())
				h.check(t)
			})
		})
	}
}

// Who has waited for Done finds the place free: New waits so for the tab's
// last page, and takes a place that is still taken for a second tab. (The test
// holds up End and the writer at their locks, as others may, so that it is
// open which of them comes first.)
func TestDoneMeansThatThePlaceIsFree(t *testing.T) {
	h := startHub(t, settings())
	for i := range 2000 {
		l := join(t, h, Place{Address: "a"})
		hold := []*sync.Mutex{&h.mu, &h.watch.mu}[i%2]
		hold.Lock()
		var end sync.WaitGroup
		end.Go(func() { l.End(Ending{Err: errOver, Drain: i%4 < 2}) })
		for l.Err() == nil {
			runtime.Gosched()
		}
		for range i % 10 {
			runtime.Gosched()
		}
		hold.Unlock()
		<-l.Done()
		h.mu.Lock()
		m := h.members["a"]
		h.mu.Unlock()
		end.Wait()
		require.Nil(t, m, "round %d: its connection is done", i)
	}
}

// Place.Rooms, unless nil, replaces the session's rooms.
func TestPlaceRooms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHub(t, settings())
		come := func(rooms []string) *line {
			return join(t, h, Place{Address: "a", TakeOver: true, Rooms: rooms})
		}
		come([]string{"x", "y"})
		require.Equal(t, []string{"x", "y"}, h.Rooms("a"))
		l := come(nil)
		require.Equal(t, []string{"x", "y"}, h.Rooms("a"), "nil leaves them, at a take-over")
		l.hangUp()
		l = come(nil)
		require.Equal(t, []string{"x", "y"}, h.Rooms("a"), "and of one that was away")
		l.hangUp()
		come([]string{"y", "z"})
		require.Equal(t, []string{"y", "z"}, h.Rooms("a"))
		require.Zero(t, h.Count(Room("x")))
		come([]string{})
		require.Equal(t, []string{}, h.Rooms("a"), "the empty list is none")
		h.check(t)
	})
}

func TestAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHub(t, settings()) // a minute
		l := join(t, h, Place{Address: "a", Rooms: []string{"x"}})
		plain := join(t, h, Place{Address: "plain"})
		l.hangUp()
		plain.hangUp()
		require.Equal(t, []string{"a"}, h.Known(All()), "without rooms there is nothing to keep")
		require.Equal(t, 1, h.Stats().Away)
		time.Sleep(time.Minute - 1)
		require.Equal(t, []string{"a"}, h.Known(Room("x")))
		l = join(t, h, Place{Address: "a"})
		require.Equal(t, []string{"x"}, h.Rooms("a"))
		require.Zero(t, h.Stats().Away)
		time.Sleep(time.Hour)
		require.Equal(t, []string{"x"}, h.Rooms("a"), "it is here")
		l.hangUp()
		time.Sleep(time.Minute)
		require.Empty(t, h.Known(Room("x")))
		l = join(t, h, Place{Address: "a"})
		require.Equal(t, []string{}, h.Rooms("a"))
		h.check(t)

		// Whoever comes sees to it that the others are forgotten.
		require.NoError(t, h.Join(Tab("a"), "x"))
		l.hangUp()
		time.Sleep(time.Minute)
		join(t, h, Place{Address: "b"})
		require.Zero(t, h.Stats().Away)
		require.Equal(t, []string{}, h.Rooms("a"))
		h.check(t)
	})
}

func TestAwayLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opt := settings()
		opt.Away = 3
		h := startHub(t, opt)
		leave := func(address string) {
			join(t, h, Place{Address: address, Owner: "ann", Rooms: []string{"x"}}).hangUp()
			time.Sleep(time.Second)
		}
		for _, address := range []string{"1", "2", "3"} {
			leave(address)
		}
		require.ElementsMatch(t, []string{"1", "2", "3"}, h.Known(Room("x")))
		leave("4")
		require.ElementsMatch(t, []string{"2", "3", "4"}, h.Known(Room("x")))
		leave("2") // came back, and left last
		leave("5")
		require.ElementsMatch(t, []string{"4", "2", "5"}, h.Known(Owner("ann")), "the longest away is forgotten")
		h.Forget("4")
		leave("6")
		require.ElementsMatch(t, []string{"2", "5", "6"}, h.Known(All()))
		require.Equal(t, 3, h.Stats().Away)
		h.check(t)
	})
}

func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHub(t, settings())
		l := join(t, h, Place{Address: "a", Owner: "ann", Rooms: []string{"x"}})
		h.Forget("a")
		require.Equal(t, []string{"a"}, h.Addresses(Room("x")), "it has a connection")
		l.hangUp()
		h.Forget("a")
		h.Forget("a")
		h.Forget("nobody")
		require.Empty(t, h.Known(All()))
		require.Empty(t, h.Known(Owner("ann")))
		require.Equal(t, []string{}, h.Rooms("a"))
		h.check(t)
	})
}

// What is published at the same time, to topics that overlap, reaches all in
// one order.
func TestOneOrder(t *testing.T) {
	const receivers, publishers, events = 6, 4, 100
	opt := settings()
	opt.QueueEvents = publishers * events
	h := startHub(t, opt)
	var lines []*line
	for i := range receivers {
		l := join(t, h, Place{Address: fmt.Sprint(i), Owner: "ann", Rooms: []string{"x"}})
		if i%2 == 0 {
			l.peer.yield = runtime.Gosched
		}
		lines = append(lines, l)
	}
	var wg sync.WaitGroup
	for p := range publishers {
		topic := []Topic{All(), Owner("ann"), Room("x")}[p%3]
		wg.Go(func() {
			for i := range events {
				assert.Equal(t, receivers, publish(h, topic, text(t, fmt.Sprintf("%d %d", p, i))))
			}
		})
	}
	wg.Wait()
	for _, l := range lines {
		l.End(Ending{Err: errOver, Drain: true})
		<-l.Done()
	}
	want := lines[0].peer.data()
	require.Equal(t, fullRuns(publishers, events), runs(t, publishers, want))
	for _, l := range lines[1:] {
		require.Equal(t, want, l.peer.data())
	}
}

// Sessions come, take over, join, leave and end at the same time; what is left
// is in order, and in the end there is nothing left.
func TestHubStress(t *testing.T) {
	opt := settings()
	opt.Away, opt.Takeovers, opt.OwnerConns = 2, 1<<30, 3
	h := startHub(t, opt)
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			for i := range 150 {
				address := fmt.Sprint((g + i) % 4)
				l := dial(t, h, address)
				err := place(h, l.Conn, Place{Address: address, Owner: "o" + address, TakeOver: true, Rooms: [][]string{nil, {"x"}, {}, {"x", "y"}}[i%4]})
				if !assert.NoError(t, err) {
					return
				}
				if i%7 == 0 {
					l.Discard(errOver)
				} else {
					l.Open(time.Second, nil)
				}
				h.Join(Tab(address), "z")
				publish(h, Room("z"), text(t, "x"))
				h.Leave(All(), "x")
				if i%5 == 0 {
					h.Forget(address)
				}
				if i%20 == 0 {
					h.check(t)
				}
				l.hangUp()
			}
		})
	}
	wg.Wait()
	for i := range 4 {
		h.Forget(fmt.Sprint(i))
	}
	h.check(t)
	require.Equal(t, Stats{}, Stats{Connections: h.Stats().Connections, Away: h.Stats().Away})
	require.Empty(t, h.members)
	require.Empty(t, h.rooms)
	require.Empty(t, h.owners)
	require.Empty(t, h.Close())
}

func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			opt := settings()
			opt.Conns, opt.QueueEvents, opt.QueueBytes = n, 1<<30, 1<<40
			h := startHub(b, opt)
			for i := range n {
				c := h.NewConn(sink{}, "", "", func() {})
				require.NoError(b, place(h, c, Place{Address: fmt.Sprint(i)}))
				c.Open(time.Second, nil)
			}
			f := text(b, strings.Repeat("x", 100))
			b.ReportAllocs()
			for b.Loop() {
				publish(h, All(), f)
			}
		})
	}
}
