package emitter

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var errFirst = errors.New("the first reason")

// An hour and a bit, so that no heartbeat is due when it is over.
const hour = time.Hour + time.Second

// simulate is where heartbeats are expected in an hour: each after 15 s
// without a write.
func simulate(writes []time.Duration) (beats []time.Duration) {
	last := time.Duration(0) // Open
	for {
		due := last + 15*time.Second
		switch {
		case len(writes) > 0 && writes[0] < due:
			last, writes = writes[0], writes[1:]
		case due > hour:
			return beats
		default:
			beats = append(beats, due)
			last = due
		}
	}
}

// sameTimes shows the first difference only.
func sameTimes(t *testing.T, want, got []time.Duration) {
	t.Helper()
	for i := range max(len(want), len(got)) {
		at := func(s []time.Duration) string {
			if i < len(s) {
				return s[i].String()
			}
			return "never"
		}
		require.Equal(t, at(want), at(got), "write %d of %d", i, len(want))
	}
}

// Heartbeats come exactly 15 s after the last write, whatever the write
// timeout is.
func TestHeartbeat(t *testing.T) {
	for _, timeout := range []time.Duration{time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second, time.Hour} {
		t.Run(timeout.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opt := settings()
				opt.WriteTimeout = timeout
				start := time.Now()
				l := join(t, startHub(t, opt), Place{Address: "a"})
				time.Sleep(hour)
				beats := l.peer.times(start, string(beat.body))
				sameTimes(t, simulate(nil), beats)
				require.Len(t, l.peer.log(), 1+240)
			})
		})
	}
}

// An event is as good as a heartbeat.
func TestHeartbeatMoves(t *testing.T) {
	for _, timeout := range []time.Duration{10 * time.Second, 30 * time.Second} {
		t.Run(timeout.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opt := settings()
				opt.WriteTimeout = timeout
				seed := rand.Uint64()
				rnd := rand.New(rand.NewPCG(seed, 0))
				start := time.Now()
				l := join(t, startHub(t, opt), Place{Address: "a"})
				var events []time.Duration
				at := time.Duration(0)
				for {
					// Never at a multiple of what the heartbeat comes at.
					at += time.Duration(rnd.Int64N(int64(40*time.Second))) | 1
					if at > time.Hour {
						break
					}
					events = append(events, at)
				}
				for _, at := range events {
					time.Sleep(at - time.Since(start))
					require.NoError(t, l.Send(text(t, "x")))
				}
				time.Sleep(hour - time.Since(start))
				t.Logf("seed %d", seed)
				sameTimes(t, simulate(events), l.peer.times(start, string(beat.body)))
				sameTimes(t, events, l.peer.times(start, "id: a\ndata: x\n\n"))
			})
		})
	}
}

// A slow write counts from its end.
func TestHeartbeatAfterSlowWrite(t *testing.T) {
	for _, timeout := range []time.Duration{10 * time.Second, 30 * time.Second} {
		t.Run(timeout.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opt := settings()
				opt.WriteTimeout = timeout
				start := time.Now()
				l := join(t, startHub(t, opt), Place{Address: "a"})
				time.Sleep(14 * time.Second)
				unblock := l.peer.block()
				require.NoError(t, l.Send(text(t, "slow")))
				time.Sleep(7 * time.Second)
				unblock()
				time.Sleep(40 * time.Second) // until 61 s
				require.Equal(t, []time.Duration{36 * time.Second, 51 * time.Second}, l.peer.times(start, string(beat.body)))
			})
		})
	}
}

// Each of many has its own heartbeat, and one that ends takes no other's.
func TestHeartbeatMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opt := settings()
		h := startHub(t, opt)
		start := time.Now()
		const n = 200
		lines := make([]*line, n)
		for i := range lines {
			time.Sleep(37 * time.Millisecond)
			lines[i] = join(t, h, Place{Address: fmt.Sprint(i)})
		}
		time.Sleep(time.Minute - time.Since(start))
		for i := 0; i < n; i += 3 {
			lines[i].hangUp()
		}
		time.Sleep(time.Minute)
		for i, l := range lines {
			var want []time.Duration
			end := 2 * time.Minute
			if i%3 == 0 {
				end = time.Minute
			}
			for at := time.Duration(i+1)*37*time.Millisecond + 15*time.Second; at < end; at += 15 * time.Second {
				want = append(want, at)
			}
			require.Equal(t, want, l.peer.times(start, string(beat.body)), "%d", i)
		}
	})
}

// Heartbeats go on after the last connection has left and a new one has come
// (simple-sse's never started again).
func TestHeartbeatAfterTheLastLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHub(t, settings())
		for range 3 {
			l := join(t, h, Place{Address: "a"})
			start := time.Now()
			time.Sleep(31 * time.Second)
			require.Equal(t, []time.Duration{15 * time.Second, 30 * time.Second}, l.peer.times(start, string(beat.body)))
			l.hangUp()
			require.Empty(t, h.watch.conns, "nobody is watched any more")
			time.Sleep(time.Hour)
			require.Len(t, l.peer.log(), 3)
		}
	})
}

func TestHeartbeatNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opt := settings()
		opt.Heartbeat = 0
		l := join(t, startHub(t, opt), Place{Address: "a"})
		time.Sleep(time.Hour)
		require.Equal(t, []string{opening}, l.peer.log())
	})
}

// A peer that takes nothing for the write timeout is cut, at that moment,
// whenever the write began; so is one that takes no heartbeat.
func TestStalled(t *testing.T) {
	for _, timeout := range []time.Duration{3 * time.Second, 10 * time.Second, 30 * time.Second} {
		for name, begin := range map[string]time.Duration{
			"at once": 0, "a bit later": 1700 * time.Millisecond, "late": 14 * time.Second, "very late": 1007 * time.Second,
		} {
			t.Run(timeout.String()+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					opt := settings()
					opt.WriteTimeout = timeout
					h := startHub(t, opt)
					other := join(t, h, Place{Address: "other"})
					l := join(t, h, Place{Address: "a"})
					time.Sleep(begin)
					l.peer.block()
					start := time.Now()
					require.NoError(t, l.Send(text(t, "x")))
					require.NoError(t, l.Send(text(t, "waits")))
					<-l.Done()
					require.Equal(t, timeout, time.Since(start))
					l.peer.ended(true)
					require.ErrorIs(t, l.Err(), ErrStalled)
					require.ErrorIs(t, l.Send(text(t, "x")), ErrStalled)
					synctest.Wait()
					require.Equal(t, uint64(1), h.Stats().Stalled)
					require.Equal(t, []string{"other"}, h.Addresses(All()))
					require.NoError(t, other.Send(text(t, "x")))
				})
			})
		}
	}
	t.Run("heartbeat", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			opt := settings()
			l := join(t, startHub(t, opt), Place{Address: "a"})
			l.peer.block()
			start := time.Now()
			<-l.Done()
			require.Equal(t, opt.Heartbeat+opt.WriteTimeout, time.Since(start))
			require.ErrorIs(t, l.Err(), ErrStalled)
		})
	})
	t.Run("first bytes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			opt := settings()
			h := startHub(t, opt)
			l := dial(t, h, "a")
			require.NoError(t, place(h, l.Conn, Place{Address: "a"}))
			l.peer.block()
			start := time.Now()
			l.Open(time.Second, nil)
			require.Equal(t, opt.WriteTimeout, time.Since(start))
			<-l.Done()
			require.ErrorIs(t, l.Err(), ErrStalled)
			l.peer.ended(true)
		})
	})
}

// The timeout is for one write: a slow reader that goes on reading is fine.
func TestSlowIsNotStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := join(t, startHub(t, settings()), Place{Address: "a"})
		for i := range 20 {
			unblock := l.peer.block()
			require.NoError(t, l.Send(text(t, fmt.Sprint(i))))
			time.Sleep(9 * time.Second)
			unblock()
			synctest.Wait()
		}
		require.NoError(t, l.Err())
		require.Len(t, l.peer.data(), 20)
	})
}

// Many slow writes without a pause between them: each has its own time.
func TestSlowWithoutPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := join(t, startHub(t, settings()), Place{Address: "a"})
		for range 10 {
			unblock := l.peer.block()
			require.NoError(t, l.Send(text(t, "x")))
			time.Sleep(9 * time.Second)
			require.NoError(t, l.Send(text(t, "y"))) // waits, so that the next write follows at once
			next := make(chan struct{})
			l.peer.mu.Lock()
			gate := l.peer.gate
			l.peer.gate = next
			l.peer.mu.Unlock()
			_ = unblock
			close(gate)
			time.Sleep(9 * time.Second)
			close(next)
			l.peer.mu.Lock()
			l.peer.gate = nil
			l.peer.mu.Unlock()
			synctest.Wait()
		}
		require.NoError(t, l.Err())
		require.Len(t, l.peer.data(), 20)
	})
}

func TestWriteFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHub(t, settings())
		l := join(t, h, Place{Address: "a"})
		l.peer.breakDown()
		require.NoError(t, l.Send(text(t, "x")))
		<-l.Done()
		l.peer.ended(true)
		require.ErrorIs(t, l.Err(), ErrWrite)
		require.ErrorIs(t, l.Err(), errPeer)
		require.ErrorIs(t, l.Send(text(t, "x")), ErrWrite)
		require.Equal(t, 0, h.Count(All()))

		first := dial(t, h, "b")
		first.peer.breakDown()
		require.NoError(t, place(h, first.Conn, Place{Address: "b"}))
		require.NoError(t, first.Send(text(t, "x")))
		first.Open(time.Second, nil)
		<-first.Done()
		first.peer.ended(true)
		require.ErrorIs(t, first.Err(), ErrWrite)
	})
}

// Draining writes what waits, then Last, and then ends as it was asked to.
func TestDrain(t *testing.T) {
	for _, cut := range []bool{false, true} {
		t.Run(fmt.Sprintf("cut %t", cut), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := startHub(t, settings())
				l := join(t, h, Place{Address: "a"})
				unblock := l.peer.block()
				for _, data := range []string{"1", "2", "3"} {
					require.NoError(t, l.Send(text(t, data)))
				}
				synctest.Wait()
				l.End(Ending{Err: errFirst, How: manner(cut), Drain: true, Last: encode(t, Event{Name: "close"})})
				require.Equal(t, errFirst, l.Err())
				require.Equal(t, errFirst, l.Send(text(t, "too late")))
				require.Zero(t, publish(h, All(), text(t, "too late")), "it is off the hub at once")
				time.Sleep(4 * time.Second)
				select {
				case <-l.Done():
					t.Fatal("has not drained yet")
				default:
				}
				unblock()
				<-l.Done()
				l.peer.ended(cut)
				require.Equal(t, []string{"1", "2", "3", ""}, l.peer.data())
				require.Equal(t, "close", l.peer.read()[3].Type)
				require.Zero(t, l.peer.aborts)
				time.Sleep(time.Hour)
			})
		})
	}
}

// An idle connection ends at once, in each way.
func TestEndIdle(t *testing.T) {
	for _, drain := range []bool{false, true} {
		for _, cut := range []bool{false, true} {
			t.Run(fmt.Sprintf("drain %t, cut %t", drain, cut), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := join(t, startHub(t, settings()), Place{Address: "a"})
					start := time.Now()
					l.End(Ending{Err: errFirst, How: manner(cut), Drain: drain})
					<-l.Done()
					require.Zero(t, time.Since(start))
					l.peer.ended(cut)
					require.Equal(t, []string{opening}, l.peer.log())
					time.Sleep(time.Minute)
				})
			})
		}
	}
}

// A peer that does not read gets Linger and no more.
func TestLingerIsOver(t *testing.T) {
	for _, timeout := range []time.Duration{2 * time.Second, 10 * time.Second} {
		t.Run(timeout.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opt := settings()
				opt.WriteTimeout = timeout
				l := join(t, startHub(t, opt), Place{Address: "a"})
				time.Sleep(3 * time.Second)
				l.peer.block()
				require.NoError(t, l.Send(text(t, "x")))
				synctest.Wait()
				start := time.Now()
				l.End(Ending{Err: errFirst, How: Cut, Drain: true, Last: text(t, "last")})
				<-l.Done()
				require.Equal(t, opt.Linger, time.Since(start))
				l.peer.ended(true)
				require.Equal(t, errFirst, l.Err())
				require.Equal(t, []string{opening}, l.peer.log())
			})
		})
	}
}

// A later draining End does not give more time.
func TestLingerIsNotProlonged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opt := settings()
		l := join(t, startHub(t, opt), Place{Address: "a"})
		l.peer.block()
		require.NoError(t, l.Send(text(t, "x")))
		start := time.Now()
		l.End(Ending{Err: errFirst, Drain: true})
		time.Sleep(3 * time.Second)
		l.End(Ending{Err: errOver, Drain: true, Last: text(t, "no")})
		<-l.Done()
		require.Equal(t, opt.Linger, time.Since(start))
		require.Equal(t, []string{opening}, l.peer.log())
	})
}

func TestEndDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := join(t, startHub(t, settings()), Place{Address: "a"})
		l.peer.block()
		require.NoError(t, l.Send(text(t, "1")))
		synctest.Wait()
		require.NoError(t, l.Send(text(t, "2")))
		start := time.Now()
		l.End(Ending{Err: errFirst, How: Cut, Last: text(t, "no")})
		<-l.Done()
		require.Zero(t, time.Since(start))
		l.peer.ended(true)
		require.Equal(t, []string{opening}, l.peer.log())
	})
}

// The first reason counts, and how that one ends the response; a later End
// that does not drain hastens it.
func TestFirstEndingWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := join(t, startHub(t, settings()), Place{Address: "a"})
		l.peer.block()
		require.NoError(t, l.Send(text(t, "1")))
		synctest.Wait()
		require.NoError(t, l.Send(text(t, "2")))
		l.End(Ending{Err: errFirst, How: Clean, Drain: true, Last: text(t, "last")})
		time.Sleep(time.Second)
		l.End(Ending{Err: errOver, How: Cut, Drain: true, Last: text(t, "never")})
		select {
		case <-l.Done():
			t.Fatal("draining does not hasten")
		default:
		}
		start := time.Now()
		l.End(Ending{Err: errOver, How: Cut})
		<-l.Done()
		require.Zero(t, time.Since(start))
		require.Equal(t, errFirst, l.Err())
		require.Equal(t, errFirst, l.Send(text(t, "x")))
		l.peer.ended(false)
		require.Equal(t, []string{opening}, l.peer.log())
		l.End(Ending{Err: errOver, How: Cut})
		l.End(Ending{Err: errOver, Drain: true})
		time.Sleep(time.Hour)
	})
}

// A queue that is full ends its connection, and is nobody else's trouble.
func TestOverflow(t *testing.T) {
	for name, c := range map[string]struct {
		events, bytes int
		frame         string
		fits          int
	}{
		"events":    {4, 1 << 20, "x", 4},
		"bytes":     {1000, 4 * len("data: x\n\n"), "x", 4},
		"one event": {1000, 10, "longer than all that may wait", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opt := settings()
				opt.QueueEvents, opt.QueueBytes = c.events, c.bytes
				h := startHub(t, opt)
				slow := join(t, h, Place{Address: "slow"})
				other := join(t, h, Place{Address: "other"})
				start := time.Now()
				slow.peer.block()
				slow.Poke() // is in Write from here on
				synctest.Wait()
				f := text(t, c.frame)
				for range c.fits {
					require.Equal(t, 2, publish(h, All(), f))
					synctest.Wait()
				}
				require.NoError(t, slow.Err())
				require.ErrorIs(t, slow.Send(f), ErrLagged)
				require.ErrorIs(t, slow.Err(), ErrLagged)
				<-slow.Done()
				slow.peer.ended(true)
				require.Equal(t, []string{opening}, slow.peer.log())
				require.Equal(t, 1, h.Count(All()))
				if c.fits > 0 {
					require.Equal(t, 1, publish(h, All(), f))
					synctest.Wait()
					require.NoError(t, other.Err())
					require.Len(t, other.peer.data(), c.fits+1)
				}
				require.Zero(t, time.Since(start), "nobody waited")
				require.Equal(t, uint64(1), h.Stats().Lagged)
			})
		})
	}
}

// The same by Publish, and what is taken from the queue makes room again.
func TestOverflowByPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opt := settings()
		opt.QueueEvents, opt.QueueBytes = 3, 10*len("data: x\n\n")
		h := startHub(t, opt)
		slow := join(t, h, Place{Address: "slow"})
		other := join(t, h, Place{Address: "other"})
		f := text(t, "x")
		for range 100 { // would be over both limits if nothing made room
			unblock := slow.peer.block()
			slow.Poke()
			synctest.Wait()
			for range 3 {
				publish(h, All(), f)
				synctest.Wait()
			}
			unblock()
			synctest.Wait()
		}
		require.NoError(t, slow.Err())
		slow.peer.block()
		slow.Poke()
		synctest.Wait()
		for range 3 {
			require.Equal(t, 2, publish(h, All(), f))
			synctest.Wait()
		}
		n, err := h.Publish(All(), f)
		require.Equal(t, 1, n, "those that have accepted it")
		require.ErrorIs(t, err, ErrLagged)
		<-slow.Done()
		synctest.Wait() // for the other to have written
		require.ErrorIs(t, slow.Err(), ErrLagged)
		require.NoError(t, other.Err())
		require.Len(t, other.peer.data(), 304)
		require.Len(t, slow.peer.data(), 300)
		require.Equal(t, uint64(1), h.Stats().Lagged)
	})
}

// A connection that had to refuse an event accepts none after it: the peer
// would see the later one, with its id, and never learn that it lost one.
// (Publish ends a full connection only when it has let go of the hub.)
func TestOverflowLeavesNoHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opt := settings()
		opt.QueueBytes = 100
		h := startHub(t, opt)
		l := join(t, h, Place{Address: "a"})
		_, full := l.push(text(t, strings.Repeat("x", 200)))
		require.True(t, full)
		err, _ := l.push(encode(t, Event{Data: "after the hole", ID: "2"}))
		synctest.Wait()
		assert.ErrorIs(t, err, ErrLagged)
		assert.Empty(t, l.peer.data())
	})
}

// One connection is cut with ErrLagged once, however many found it full before
// it ended: two that publish at a time do exactly this.
func TestLaggedIsCountedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opt := settings()
		opt.QueueBytes = 10
		h := startHub(t, opt)
		l := join(t, h, Place{Address: "a"})
		f := text(t, "too long")
		_, one := l.push(f)
		_, two := l.push(f)
		for _, full := range []bool{one, two} {
			if full {
				l.lag()
			}
		}
		<-l.Done()
		require.Equal(t, uint64(1), h.Stats().Lagged)
	})
}

// Each sender's events arrive in the order in which it sent them.
func TestOrderOfSenders(t *testing.T) {
	const senders, events = 8, 200
	opt := settings()
	opt.QueueEvents = senders * events
	h := startHub(t, opt)
	l := join(t, h, Place{Address: "a"})
	l.peer.yield = runtime.Gosched
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range events {
				f := text(t, fmt.Sprintf("%d %d", s, i))
				if s%2 == 0 {
					assert.NoError(t, l.Send(f))
				} else {
					publish(h, Tab("a"), f)
				}
			}
		})
	}
	wg.Wait()
	l.End(Ending{Err: errOver, Drain: true})
	<-l.Done()
	require.Equal(t, fullRuns(senders, events), runs(t, senders, l.peer.data()))
}

// runs sorts data of the form "sender number" by sender.
func runs(t testing.TB, senders int, data []string) [][]int {
	by := make([][]int, senders)
	for _, d := range data {
		var s, i int
		_, err := fmt.Sscan(d, &s, &i)
		require.NoError(t, err, "%q", d)
		by[s] = append(by[s], i)
	}
	return by
}

func fullRuns(senders, events int) [][]int {
	by := make([][]int, senders)
	for s := range by {
		for i := range events {
			by[s] = append(by[s], i)
		}
	}
	return by
}

// What waits while a write is in progress goes out as one write.
func TestBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHub(t, settings())
		l := join(t, h, Place{Address: "a"})
		unblock := l.peer.block()
		var want strings.Builder
		require.NoError(t, l.Send(text(t, "first")))
		synctest.Wait()
		for i := range 100 {
			require.NoError(t, l.Send(text(t, fmt.Sprint(i))))
			fmt.Fprintf(&want, "id: a\ndata: %d\n\n", i)
		}
		unblock()
		synctest.Wait()
		require.Equal(t, []string{opening, "id: a\ndata: first\n\n", want.String()}, l.peer.log())
		require.Equal(t, uint64(3), h.Stats().Writes)
		require.Equal(t, uint64(len(l.peer.wire)), h.Stats().Bytes)
	})
}

// A batch is bounded, and an event is never cut in two.
func TestBatchOfLargeEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := join(t, startHub(t, settings()), Place{Address: "a"})
		unblock := l.peer.block()
		l.Poke()
		synctest.Wait()
		sizes := []int{20_000, 20_000, 20_000, 20_000, 300_000, 1, 1, 70_000, 10}
		for i, size := range sizes {
			require.NoError(t, l.Send(text(t, strings.Repeat(fmt.Sprint(i), size))))
		}
		unblock()
		synctest.Wait()
		got := l.peer.read()
		require.Len(t, got, len(sizes))
		for i, size := range sizes {
			require.Equal(t, strings.Repeat(fmt.Sprint(i), size), got[i].Data)
		}
		for _, w := range l.peer.log() {
			require.True(t, strings.HasSuffix(w, "\n\n"), "ends with an event")
			last := strings.LastIndex(strings.TrimSuffix(w, "\n\n"), "\n\n")
			require.Less(t, last, maxWrite, "what comes before the last event")
		}
	})
}

func TestDiscard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHub(t, settings())
		l := dial(t, h, "a")
		require.NoError(t, place(h, l.Conn, Place{Address: "a"}))
		require.NoError(t, l.Send(text(t, "x")))
		l.Discard(errFirst)
		<-l.Done()
		<-l.done
		require.Equal(t, errFirst, l.Err())
		require.Equal(t, errFirst, l.Send(text(t, "x")))
		require.Empty(t, h.Addresses(All()))
		l.peer.mu.Lock()
		l.peer.finishes++ // from here on peer reports any use
		l.peer.mu.Unlock()
		l.End(Ending{Err: errOver, How: Cut})
		l.End(Ending{Err: errOver, Drain: true, Last: text(t, "x")})
		l.Poke()
		time.Sleep(time.Hour)
		require.Empty(t, l.peer.log())
		require.Zero(t, l.peer.aborts)
	})
}

// A connection that was ended while its request was still being answered is
// discarded all the same, with the first reason.
func TestDiscardAfterEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHub(t, settings())
		l := dial(t, h, "a")
		require.NoError(t, place(h, l.Conn, Place{Address: "a"}))
		l.End(Ending{Err: errFirst, Drain: true})
		l.Discard(errOver)
		<-l.Done()
		require.Equal(t, errFirst, l.Err())
		l.peer.mu.Lock()
		l.peer.finishes++
		l.peer.mu.Unlock()
		time.Sleep(time.Hour)
		require.Empty(t, l.peer.log())
	})
}

func TestPoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := join(t, startHub(t, settings()), Place{Address: "a"})
		start := time.Now()
		time.Sleep(10 * time.Second)
		l.Poke()
		time.Sleep(6 * time.Second)
		require.Equal(t, []time.Duration{10 * time.Second}, l.peer.times(start, ":\n\n"), "it moves the heartbeat")
		unblock := l.peer.block()
		require.NoError(t, l.Send(text(t, "x")))
		synctest.Wait()
		l.Poke()
		l.Poke()
		unblock()
		synctest.Wait()
		require.Equal(t, []string{opening, ":\n\n", "id: a\ndata: x\n\n"}, l.peer.log())
		l.End(Ending{Err: errOver})
		l.Poke()
		<-l.Done()
		l.Poke()
		synctest.Wait()
		require.Len(t, l.peer.log(), 3)
	})
}

// A peer has vanished when nothing that was written has been acknowledged
// since the poke. One that is slow, or busy with much else, has not.
func TestVanished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := join(t, startHub(t, settings()), Place{Address: "a"})
		acks := func(a Acks) {
			l.peer.mu.Lock()
			l.peer.acks = a
			l.peer.mu.Unlock()
		}
		for _, c := range []struct {
			before, after Acks
			want          bool
		}{
			{Acks{true, 0, 70}, Acks{true, 3, 70}, true},
			{Acks{true, 9, 70}, Acks{true, 9, 70}, true},
			{Acks{true, 0, 0}, Acks{true, 3, 0}, true}, // no total on this system
			{Acks{true, 0, 70}, Acks{true, 0, 73}, false},
			{Acks{true, 500, 70}, Acks{true, 500, 570}, false}, // in the middle of much
			{Acks{true, 0, 70}, Acks{}, false},
			{Acks{}, Acks{true, 3, 70}, false},
			{Acks{}, Acks{}, false},
		} {
			acks(c.before)
			vanished := l.Poke()
			acks(c.after)
			require.Equal(t, c.want, vanished(), "%+v", c)
		}
	})
}

func TestOpen(t *testing.T) {
	greeting := Event{Name: "session", Data: "{}"}
	for name, c := range map[string]struct {
		retry    time.Duration
		greeting *Event
		app      string
		want     string
	}{
		"plain":               {3 * time.Second, nil, "", "\n:\nretry: 3000\n\n"},
		"greeting":            {2500 * time.Millisecond, &greeting, "", "\n:\nretry: 2500\nid: a\nevent: session\ndata: {}\n\n"},
		"greeting and cursor": {time.Second, &greeting, "7", "\n:\nretry: 1000\nid: a~7\nevent: session\ndata: {}\n\n"},
		"never 0":             {0, nil, "", "\n:\nretry: 1\n\n"},
		"in whole ms":         {1500 * time.Microsecond, nil, "", "\n:\nretry: 1\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := startHub(t, settings())
				l := &line{peer: newPeer(t), done: make(chan struct{})}
				l.Conn = h.NewConn(l.peer, "a", c.app, func() { close(l.done) })
				require.NoError(t, place(h, l.Conn, Place{Address: "a"}))
				var f *Frame
				if c.greeting != nil {
					f = encode(t, *c.greeting)
				}
				l.Open(c.retry, f)
				require.Equal(t, []string{c.want}, l.peer.log(), "written when Open returns")
				l.hangUp()
			})
		})
	}
}

// What is sent before Open comes after the greeting, in order and in one
// write, and Open does not wait for it.
func TestSendBeforeOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHub(t, settings())
		l := dial(t, h, "a")
		require.NoError(t, place(h, l.Conn, Place{Address: "a"}))
		require.NoError(t, l.Send(text(t, "1")))
		require.Equal(t, 1, publish(h, All(), text(t, "2")))
		time.Sleep(time.Hour) // New waits for its store, say
		require.Empty(t, l.peer.log())
		gate, writes := make(chan struct{}), 0
		l.peer.yield = func() {
			if writes++; writes == 2 {
				<-gate
			}
		}
		l.Open(time.Second, encode(t, Event{Name: "session"}))
		synctest.Wait()
		require.Len(t, l.peer.log(), 1, "Open does not wait for the second write")
		close(gate)
		synctest.Wait()
		require.Equal(t, []string{
			"\n:\nretry: 1000\nid: a\nevent: session\ndata: \n\n",
			"id: a\ndata: 1\n\nid: a\ndata: 2\n\n",
		}, l.peer.log())
		l.hangUp()
	})
}

// A connection that was ended before Open ends in Open: with the first bytes
// if it drains, else without any.
func TestEndBeforeOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHub(t, settings())
		l := dial(t, h, "a")
		require.NoError(t, place(h, l.Conn, Place{Address: "a"}))
		require.NoError(t, l.Send(text(t, "1")))
		l.End(Ending{Err: errFirst, Drain: true, Last: text(t, "last")})
		require.Empty(t, h.Addresses(All()))
		l.Open(3*time.Second, nil)
		<-l.Done()
		l.peer.ended(false)
		require.Equal(t, []string{opening, "id: a\ndata: 1\n\nid: a\ndata: last\n\n"}, l.peer.log())

		l = dial(t, h, "a")
		require.NoError(t, place(h, l.Conn, Place{Address: "a"}))
		require.NoError(t, l.Send(text(t, "1")))
		l.End(Ending{Err: errFirst, How: Cut})
		select {
		case <-l.Done():
			t.Fatal("Open comes first")
		default:
		}
		l.Open(3*time.Second, nil)
		<-l.Done()
		l.peer.ended(true)
		require.Empty(t, l.peer.log())
	})
}

// The program's cursor stays on the id line until another replaces it.
func TestCursorStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHub(t, settings())
		l := &line{peer: newPeer(t), done: make(chan struct{})}
		l.Conn = h.NewConn(l.peer, "a", "before", func() { close(l.done) })
		require.NoError(t, place(h, l.Conn, Place{Address: "a"}))
		l.Open(time.Second, nil)
		other := join(t, h, Place{Address: "b"})
		for _, e := range []Event{
			{Data: "0"}, {Data: "1", ID: "x"}, {Data: "2"}, {Comment: "no id"}, {Data: "3"}, {Data: "4", ID: "longer-than-x"}, {Data: "5", ID: "y"}, {Data: "6"},
		} {
			require.NoError(t, l.Send(encode(t, e)))
			synctest.Wait()
		}
		var ids []string
		for _, e := range l.peer.read() {
			ids = append(ids, e.LastEventID)
		}
		require.Equal(t, []string{"a~before", "a~x", "a~x", "a~x", "a~longer-than-x", "a~y", "a~y"}, ids)
		require.NoError(t, other.Send(text(t, "x")))
		synctest.Wait()
		require.Equal(t, "b", other.peer.read()[0].LastEventID, "it is the session's own")
		l.hangUp()
	})
}

// With everything at once, in random order:
//
//   - Finish is called once, onDone once after it, before Done is closed, and
//     the transport is used by one at a time and never after Finish (peer and
//     dial check that);
//   - of each sender the peer gets the first events without a gap, in order;
//   - what was accepted before a draining End is written, unless something cut
//     the connection as well.
func TestStress(t *testing.T) {
	seed := rand.Uint64()
	for round := range 20 {
		rnd := rand.New(rand.NewPCG(seed, uint64(round)))
		drainOnly := round%2 == 0
		name := fmt.Sprintf("seed %d round %d", seed, round)
		const senders = 4
		opt := settings()
		opt.QueueEvents = 1 << 20
		opt.QueueBytes = 1 << 30
		opt.WriteTimeout = time.Minute
		opt.Linger = time.Minute
		if !drainOnly && rnd.IntN(2) == 0 {
			opt.QueueEvents = 1 + rnd.IntN(50)
		}
		h := NewHub(opt)
		lines := make([]*line, 4)
		for i := range lines {
			lines[i] = dial(t, h, fmt.Sprint(i))
			if rnd.IntN(2) == 0 {
				lines[i].peer.yield = runtime.Gosched
			}
			require.NoError(t, place(h, lines[i].Conn, Place{Address: fmt.Sprint(i)}), name)
		}
		accepted := make([][senders]atomic.Int64, len(lines)) // by Send, before it returned
		var begun, over sync.WaitGroup
		start := make(chan struct{})
		run := func(fn func()) {
			begun.Add(1)
			over.Go(func() {
				begun.Done()
				<-start
				fn()
			})
		}
		for i, l := range lines {
			run(func() { l.Open(time.Second, nil) })
			for s := range senders {
				run(func() {
					for n := 0; ; n++ {
						if l.Send(text(t, fmt.Sprintf("%d %d", s, n))) != nil {
							return
						}
						accepted[i][s].Store(int64(n + 1))
					}
				})
			}
			run(func() {
				for l.Err() == nil {
					l.Poke()
					runtime.Gosched()
				}
			})
			patience := rnd.IntN(2000)
			ways := 1
			if !drainOnly {
				ways = rnd.IntN(4)
			}
			end := func(e Ending) {
				run(func() {
					for range patience {
						runtime.Gosched()
					}
					l.End(e)
				})
			}
			if ways == 0 {
				run(func() {
					for range patience {
						runtime.Gosched()
					}
					l.peer.breakDown()
				})
			}
			for range ways {
				end(Ending{Err: errOver, How: manner(drainOnly || rnd.IntN(2) == 0), Drain: drainOnly || rnd.IntN(2) == 0})
			}
		}
		run(func() {
			for publish(h, All(), &Frame{body: []byte(": all\n\n"), bare: true}) > 0 {
				runtime.Gosched()
			}
		})
		begun.Wait()
		close(start)
		over.Wait()
		for i, l := range lines {
			<-l.Done()
			<-l.done
			require.Equal(t, 1, l.peer.finishes, name)
			for s, got := range runs(t, senders, l.peer.data()) {
				if got == nil {
					got = []int{}
				}
				want := make([]int, len(got))
				for n := range want {
					want[n] = n
				}
				require.Equal(t, want, got, "%s: a gap, or out of order", name)
				if drainOnly {
					require.EqualValues(t, accepted[i][s].Load(), len(got), "%s: accepted is not written", name)
				} else {
					require.LessOrEqual(t, int64(len(got)), accepted[i][s].Load()+1, name)
				}
			}
		}
		require.Zero(t, h.Count(All()), name)
		require.Zero(t, h.Stats().Away, name)
		h.Stop()
		require.False(t, slices.ContainsFunc(lines, func(l *line) bool { return l.state != finished }), name)
	}
}

func BenchmarkSend(b *testing.B) {
	opt := settings()
	h := startHub(b, opt)
	l := h.NewConn(sink{}, "a", "", func() {})
	require.NoError(b, place(h, l, Place{Address: "a"}))
	l.Open(time.Second, nil)
	f := text(b, strings.Repeat("x", 100))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		require.NoError(b, l.Send(f))
		if i%(opt.QueueEvents/2) == 0 { // a sender that never looks up would overtake any reader
			for !l.idle() {
				runtime.Gosched()
			}
		}
	}
	l.End(Ending{Err: errOver})
	<-l.Done()
}

func (c *Conn) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == idle
}

type sink struct{}

func (sink) Write([]byte) error { return nil }
func (sink) Abort()             {}
func (sink) Finish(How)         {}
func (sink) Acks() Acks         { return Acks{} }
