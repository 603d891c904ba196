package session_test

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/securecookie"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lastevent/sse/session"
)

const (
	alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	year     = 365 * 24 * time.Hour
)

// key is a signing key made of one letter.
func key(letter byte) []byte { return bytes.Repeat([]byte{letter}, session.MinKey) }

// codec signs with the first of the keys named by letters.
func codec(t testing.TB, letters string) *session.Codec {
	t.Helper()
	c, err := session.NewCodec(keys(letters), year)
	require.NoError(t, err)
	return c
}

func keys(letters string) (list [][]byte) {
	for i := range len(letters) {
		list = append(list, key(letters[i]))
	}
	return list
}

func newID(t testing.TB, c *session.Codec, owner string) session.ID {
	t.Helper()
	id, err := c.New(owner)
	require.NoError(t, err)
	return id
}

// What follows up to sign is the format of an id, written down a second time
// and without securecookie: ids outlive releases, so it may not change unseen.

func hash(key []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}

func subkey(t testing.TB, key []byte, use string) []byte {
	t.Helper()
	k, err := hkdf.Expand(sha256.New, key, "lastevent/sse "+use, 32)
	require.NoError(t, err)
	return k
}

// sign makes the id that a server with this key makes at that second.
func sign(t testing.TB, key []byte, seconds string, payload []byte) string {
	t.Helper()
	signed := seconds + "|" + base64.URLEncoding.EncodeToString(payload)
	mac := hash(subkey(t, key, "id"), "id|"+signed)
	return base64.RawURLEncoding.EncodeToString(append([]byte(signed+"|"), mac...))
}

// decoded is the id's text as securecookie sees it: seconds, payload and MAC.
func decoded(t testing.TB, text string) (seconds string, payload []byte) {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text)
	require.NoError(t, err)
	parts := bytes.SplitN(raw, []byte("|"), 3)
	require.Len(t, parts, 3)
	payload, err = base64.URLEncoding.DecodeString(string(parts[1]))
	require.NoError(t, err)
	return string(parts[0]), payload
}

// cookie is securecookie as an id's signer uses it, without what Parse adds.
func cookie(t testing.TB, key []byte) *securecookie.SecureCookie {
	t.Helper()
	return securecookie.New(subkey(t, key, "id"), nil).SetSerializer(securecookie.NopEncoder{}).MaxAge(0)
}

func TestIDRoundTrip(t *testing.T) {
	for _, tt := range []struct {
		name, owner string
		length      int
	}{
		{"without owner", "", 80},
		{"with owner", "ann", 96},
		{"with a long owner", strings.Repeat("ann@example.com ", 1000), 96},
		{"with an owner of any bytes", "\x00\xff|~.\n", 96},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := codec(t, "a")
			before := time.Now().Truncate(time.Second)
			made := newID(t, c, tt.owner)
			after := time.Now()

			assert.Len(t, made.String(), tt.length)
			assert.Empty(t, strings.Trim(made.String(), alphabet))
			assert.Len(t, made.Address(), session.AddressLen)
			assert.True(t, session.IsAddress(made.Address()))
			assert.Empty(t, made.Former())
			assert.False(t, made.Issued().Before(before), "%v is before %v", made.Issued(), before)
			assert.False(t, made.Issued().After(after), "%v is after %v", made.Issued(), after)

			read, err := c.Parse(made.String())
			require.NoError(t, err)
			assert.Equal(t, made.String(), read.String())
			assert.Equal(t, made.Address(), read.Address())
			assert.Empty(t, read.Former())
			// The clock is read twice by New.
			assert.WithinDuration(t, made.Issued(), read.Issued(), time.Second)
			for _, id := range []session.ID{made, read} {
				assert.True(t, c.OwnedBy(id, tt.owner))
				assert.False(t, c.Expired(id))
			}
		})
	}
}

// The format is the second opinion's, byte by byte, so that the ids of one
// release are good in the next.
func TestIDFormat(t *testing.T) {
	for _, owner := range []string{"", "ann"} {
		id := newID(t, codec(t, "a"), owner)
		seconds, payload := decoded(t, id.String())
		assert.Equal(t, sign(t, key('a'), seconds, payload), id.String())
		assert.Equal(t, base64.RawURLEncoding.EncodeToString(payload[:12]), id.Address())
		tag := hash(subkey(t, key('a'), "owner"), string(payload[:12]), owner)[:9]
		if owner == "" {
			tag = tag[:0]
		}
		assert.Equal(t, tag, payload[12:])
	}

	given, err := codec(t, "a").Given("tab-1")
	require.NoError(t, err)
	sum := hash(subkey(t, key('a'), "given"), "tab-1")[:12]
	assert.Equal(t, base64.RawURLEncoding.EncodeToString(sum), given.Address())

	// From another implementation (Python's hmac).
	const text = "MTc4NDAwMDAwMHxBQUVDQXdRRkJnY0lDUW9MfNTfUEhrPlXe5EkMz7gUF249fXIdlnYloxZikPZ2s2eZ"
	old, err := codec(t, "a").Parse(text)
	require.NoError(t, err)
	assert.Equal(t, "AAECAwQFBgcICQoL", old.Address())
	assert.Equal(t, int64(1784000000), old.Issued().Unix())
}

// An id is one string. Whatever else would decode to the same bytes, as
// securecookie's decoder allows it, is another string, and refused.
func TestParseTakesTheVeryStringOnly(t *testing.T) {
	c := codec(t, "a")
	payload := []byte("0123456789ab")
	for _, tt := range []struct{ name, text string }{
		{"without owner", newID(t, c, "").String()},
		{"with owner", newID(t, c, "ann").String()},
		{"4 bits unused", sign(t, key('a'), "99999999", payload)},
		{"2 bits unused", sign(t, key('a'), "999999999", payload)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id := tt.text
			refused := func(text, what string, args ...any) {
				t.Helper()
				if _, err := c.Parse(text); !errors.Is(err, session.ErrID) {
					t.Fatalf("%s: %q is %v", fmt.Sprintf(what, args...), text, err)
				}
			}
			_, err := c.Parse(id)
			require.NoError(t, err)

			for i := range len(id) {
				for b := range 256 {
					if byte(b) == id[i] {
						continue
					}
					refused(id[:i]+string([]byte{byte(b)})+id[i+1:], "character %d is now %q", i, b)
				}
				refused(id[:i], "cut off at %d", i)
				refused(id[i+1:], "begins at %d", i+1)
				refused(id[:i]+id[i+1:], "without character %d", i)
			}
			for b := range 256 {
				refused(string([]byte{byte(b)})+id, "%q in front", b)
				refused(id+string([]byte{byte(b)}), "%q behind", b)
			}
			refused(id+id, "twice")
			refused(id+".1-1", "with its cursor")
			refused(id+"~app", "with an app id")

			var got []byte
			pad := strings.Repeat("=", -len(id)&3)
			if pad != "" {
				require.NoError(t, cookie(t, key('a')).Decode("id", id+pad, &got), "securecookie wants the padding")
				refused(id+pad, "padded")
			}
			for i := range len(id) + 1 {
				// By fours they leave the padding as it was.
				for _, br := range []string{"\n", "\r", "\r\n", "\n\n\n\n", "\r\n\r\n"} {
					text := id[:i] + br + id[i:]
					require.NoError(t, cookie(t, key('a')).Decode("id", text+pad, &got), "securecookie has become strict")
					refused(text, "%q at %d", br, i)
				}
			}
			if pad != "" {
				last := strings.IndexByte(alphabet, id[len(id)-1])
				for bits := 1; bits < 1<<(2*len(pad)); bits++ {
					text := id[:len(id)-1] + string(alphabet[last|bits])
					require.NoError(t, cookie(t, key('a')).Decode("id", text+pad, &got), "securecookie has become strict")
					refused(text, "unused bits %b", bits)
				}
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	c := codec(t, "a")
	id := newID(t, c, "")
	for _, text := range []string{
		"", "null", "undefined", "0", "id", " ", "\x00", "[object Object]", "..", "~", "%00",
		id.Address(),
		strings.Repeat("A", 80),
		strings.Repeat("_", 96),
		strings.Repeat("0", 68),
		strings.Repeat("0", 98),
		strings.Repeat("A", 99),
		strings.Repeat("A", 1<<20),
		strings.Repeat("é", 40),
	} {
		got, err := c.Parse(text)
		require.ErrorIs(t, err, session.ErrID, "%.100q", text)
		require.NotErrorIs(t, err, session.ErrForeignKey, "%.100q", text)
		require.Zero(t, got, "%.100q", text)
	}
	// What begins like an id and has not the length of one, is nobody's.
	for n := range 70 {
		text := base64.RawURLEncoding.EncodeToString(append([]byte("1784000000|"), make([]byte, n)...))
		_, err := c.Parse(text)
		require.ErrorIs(t, err, session.ErrID, "%d bytes", n)
		if n != 16+1+32 && n != 28+1+32 {
			require.NotErrorIs(t, err, session.ErrForeignKey, "%d bytes", n)
		}
	}
}

// A text of a megabyte costs a look at its length.
func TestParseOfLongTextIsCheap(t *testing.T) {
	c := codec(t, "a")
	for _, n := range []int{16, 67, 99, 1 << 20} {
		text := strings.Repeat("A", n)
		assert.Zero(t, testing.AllocsPerRun(10, func() { c.Parse(text) }), "%d characters", n)
	}
}

// What a holder of the key could sign, but New never would.
func TestParseOfSignedOddities(t *testing.T) {
	c := codec(t, "a")
	p12, p21 := bytes.Repeat([]byte{1}, 12), bytes.Repeat([]byte{1}, 21)

	for _, seconds := range []string{"0", "7", "10", "123456", "999999999", "1000000000", "9999999999", "99999999999"} {
		for _, payload := range [][]byte{p12, p21} {
			text := sign(t, key('a'), seconds, payload)
			id, err := c.Parse(text)
			require.NoError(t, err, "at second %s, %d bytes", seconds, len(payload))
			assert.Equal(t, seconds, fmt.Sprint(id.Issued().Unix()))
			assert.Equal(t, text, id.String())
			assert.Equal(t, len(payload) == 12, c.OwnedBy(id, ""))
		}
	}
	for _, seconds := range []string{"", "-1", "+1", "1e9", "0x10", "10 ", " 10", "1.5", "100000000000", "123456789012345"} {
		for _, payload := range [][]byte{p12, p21} {
			_, err := c.Parse(sign(t, key('a'), seconds, payload))
			require.ErrorIs(t, err, session.ErrID, "at second %q, %d bytes", seconds, len(payload))
			require.NotErrorIs(t, err, session.ErrForeignKey, "at second %q, %d bytes", seconds, len(payload))
		}
	}
	for n := range 40 {
		_, err := c.Parse(sign(t, key('a'), "1", make([]byte, n)))
		if n == 12 || n == 21 {
			require.NoError(t, err, "%d bytes", n)
			continue
		}
		require.ErrorIs(t, err, session.ErrID, "%d bytes", n)
		require.NotErrorIs(t, err, session.ErrForeignKey, "%d bytes: the key is right", n)
	}
}

func TestParseOfForeignIDs(t *testing.T) {
	mine, other := codec(t, "ab"), codec(t, "c")
	assert.ErrorIs(t, session.ErrForeignKey, session.ErrID)
	assert.NotErrorIs(t, session.ErrID, session.ErrForeignKey)
	for _, owner := range []string{"", "ann"} {
		id, err := mine.Parse(newID(t, other, owner).String())
		assert.ErrorIs(t, err, session.ErrForeignKey, "owner %q", owner)
		assert.ErrorIs(t, err, session.ErrID, "owner %q", owner)
		assert.Zero(t, id)
	}
	// The name under which securecookie signs is part of the signature.
	text, err := cookie(t, key('a')).Encode("session", make([]byte, 12))
	require.NoError(t, err)
	_, err = mine.Parse(text)
	assert.ErrorIs(t, err, session.ErrForeignKey)
	// So is the derivation: the key itself signs nothing.
	text, err = securecookie.New(key('a'), nil).SetSerializer(securecookie.NopEncoder{}).Encode("id", make([]byte, 12))
	require.NoError(t, err)
	_, err = mine.Parse(text)
	assert.ErrorIs(t, err, session.ErrForeignKey)
}

// The new key comes last until all servers have it, then first, and the old
// one goes when its ids have expired.
func TestKeyRotation(t *testing.T) {
	old := codec(t, "a")
	steps := []*session.Codec{codec(t, "ab"), codec(t, "ba")}
	gone := codec(t, "b")

	anns := newID(t, old, "ann")
	nobodys := newID(t, old, "")
	for i, c := range steps {
		for _, made := range []session.ID{anns, nobodys} {
			id, err := c.Parse(made.String())
			require.NoError(t, err, "step %d", i)
			assert.Equal(t, made.String(), id.String(), "step %d", i)
			assert.Equal(t, made.Address(), id.Address(), "step %d", i)
		}
		id, _ := c.Parse(anns.String())
		assert.True(t, c.OwnedBy(id, "ann"), "step %d", i)
		assert.False(t, c.OwnedBy(id, "bob"), "step %d", i)
		assert.False(t, c.OwnedBy(id, ""), "step %d", i)
		id, _ = c.Parse(nobodys.String())
		assert.True(t, c.OwnedBy(id, ""), "step %d", i)
		assert.False(t, c.OwnedBy(id, "ann"), "step %d", i)
	}

	// Whoever has not moved on yet can read what the others make.
	first := newID(t, steps[0], "ann")
	second := newID(t, steps[1], "ann")
	for _, tt := range []struct {
		name    string
		reader  *session.Codec
		id      session.ID
		foreign bool
	}{
		{"old reads step 1", old, first, false},
		{"old reads step 2", old, second, true},
		{"step 1 reads step 2", steps[0], second, false},
		{"step 2 reads step 1", steps[1], first, false},
		{"new reads step 1", gone, first, true},
		{"new reads step 2", gone, second, false},
		{"new reads old", gone, anns, true},
	} {
		id, err := tt.reader.Parse(tt.id.String())
		if tt.foreign {
			assert.ErrorIs(t, err, session.ErrForeignKey, tt.name)
			continue
		}
		require.NoError(t, err, tt.name)
		assert.True(t, tt.reader.OwnedBy(id, "ann"), tt.name)
		assert.False(t, tt.reader.OwnedBy(id, "bob"), tt.name)
	}
}

func TestOwnedBy(t *testing.T) {
	c := codec(t, "ab")
	for _, tt := range []struct {
		bound, owner string
		want         bool
	}{
		{"", "", true},
		{"", "ann", false},
		{"ann", "ann", true},
		{"ann", "", false},
		{"ann", "bob", false},
		{"ann", "Ann", false},
		{"ann", "ann ", false},
		{"ann", "an", false},
		{"ann", "ann\x00", false},
	} {
		made := newID(t, c, tt.bound)
		read, err := c.Parse(made.String())
		require.NoError(t, err)
		assert.Equal(t, tt.want, c.OwnedBy(made, tt.owner), "made for %q, asked for %q", tt.bound, tt.owner)
		assert.Equal(t, tt.want, c.OwnedBy(read, tt.owner), "read for %q, asked for %q", tt.bound, tt.owner)
	}
	given, err := c.Given("tab-1")
	require.NoError(t, err)
	assert.True(t, c.OwnedBy(given, ""))
	assert.True(t, c.OwnedBy(given, "ann"))
}

// Two tabs of one owner show no more in common than two of different owners.
func TestIDsDoNotTellTheirOwner(t *testing.T) {
	c := codec(t, "a")
	const owner = "ann@example.com"
	tags := map[string]bool{}
	for range 100 {
		id := newID(t, c, owner)
		_, payload := decoded(t, id.String())
		require.Len(t, payload, 21)
		tags[string(payload[12:])] = true
		raw, _ := base64.RawURLEncoding.DecodeString(id.String())
		require.NotContains(t, string(raw), owner)
		require.NotContains(t, string(payload), owner[:9])
	}
	assert.Len(t, tags, 100)
	// Of the owner's tag and the address, none makes up for the other.
	_, payload := decoded(t, newID(t, c, owner).String())
	_, other := decoded(t, newID(t, c, owner).String())
	mixed, err := c.Parse(sign(t, key('a'), "1784000000", append(payload[:12:12], other[12:]...)))
	require.NoError(t, err)
	assert.False(t, c.OwnedBy(mixed, owner))
}

func TestExpired(t *testing.T) {
	const lifetime = 400 * 24 * time.Hour // over securecookie's own 30 days
	for _, offset := range []time.Duration{0, 700 * time.Millisecond} {
		for _, owner := range []string{"", "ann"} {
			synctest.Test(t, func(t *testing.T) {
				c, err := session.NewCodec(keys("a"), lifetime)
				require.NoError(t, err)
				time.Sleep(offset)
				made := newID(t, c, owner)
				given, err := c.Given("tab-1")
				require.NoError(t, err)
				read := func() session.ID {
					t.Helper()
					id, err := c.Parse(made.String())
					require.NoError(t, err, "Parse does not look at the age")
					require.Equal(t, made.Issued().Unix(), id.Issued().Unix())
					return id
				}
				assert.Equal(t, time.Now().Add(-offset).UnixNano(), made.Issued().UnixNano())
				assert.False(t, c.Expired(made))
				assert.False(t, c.Expired(read()))
				time.Sleep(lifetime - offset) // an id knows its second only
				assert.False(t, c.Expired(made))
				assert.False(t, c.Expired(read()))
				time.Sleep(time.Nanosecond)
				assert.True(t, c.Expired(made))
				assert.True(t, c.Expired(read()))
				time.Sleep(100 * year)
				assert.True(t, c.Expired(read()))
				assert.False(t, c.Expired(given), "a given id has no age")
				assert.Zero(t, given.Issued())
			})
		}
	}
	c := codec(t, "a")
	assert.True(t, c.Expired(session.ID{}))
	assert.True(t, c.Expired(parse(t, c, sign(t, key('a'), "0", make([]byte, 12)))))
}

func parse(t testing.TB, c *session.Codec, text string) session.ID {
	t.Helper()
	id, err := c.Parse(text)
	require.NoError(t, err)
	return id
}

// Clocks of nine digits end in September 2001. Boards without a battery have
// them, and so has testing/synctest.
func TestIDsOfShortClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := session.NewCodec(keys("a"), 10*year)
		require.NoError(t, err)
		var made []session.ID
		lengths := map[bool][]int{}
		issue := func() {
			for _, owner := range []string{"", "ann"} {
				id := newID(t, c, owner)
				require.Empty(t, strings.Trim(id.String(), alphabet))
				lengths[owner != ""] = append(lengths[owner != ""], len(id.String()))
				made = append(made, id)
			}
		}
		issue()
		time.Sleep(time.Until(time.Unix(999_999_999, 0)))
		issue()
		time.Sleep(time.Second - 1)
		issue()
		time.Sleep(time.Nanosecond)
		issue()
		time.Sleep(year)
		issue()
		assert.Equal(t, []int{79, 79, 79, 80, 80}, lengths[false])
		assert.Equal(t, []int{95, 95, 95, 96, 96}, lengths[true])
		for i, id := range made {
			read := parse(t, c, id.String())
			assert.Equal(t, id.Address(), read.Address())
			assert.Equal(t, id.Issued().Unix(), read.Issued().Unix())
			assert.Equal(t, i%2 == 1, c.OwnedBy(read, "ann"))
			assert.Equal(t, i%2 == 0, c.OwnedBy(read, ""))
			assert.False(t, c.Expired(read))
		}
	})
}

func TestGiven(t *testing.T) {
	c := codec(t, "a")
	for _, text := range []string{
		"x", "0", "-", "_", alphabet, strings.Repeat("z", session.MaxGiven),
		"Null", "nullx", "undefined1", newID(t, c, "").Address(),
	} {
		id, err := c.Given(text)
		require.NoError(t, err, "%q", text)
		assert.Equal(t, text, id.String())
		assert.True(t, session.IsAddress(id.Address()), "%q has address %q", text, id.Address())
		assert.NotEqual(t, text, id.Address())
		again, err := codec(t, "a").Given(text)
		require.NoError(t, err)
		assert.Equal(t, id, again, "the address is stable")
	}
	for _, text := range []string{
		"", "null", "undefined", strings.Repeat("z", session.MaxGiven+1), newID(t, c, "").String(),
		"a b", "a.b", "a~b", "a\n", "\na", "a=", "a+b", "a/b", "é", "\x00", "a|b", "a:b", "a@b", "a[b", "a`b", "a{b",
	} {
		id, err := c.Given(text)
		assert.ErrorIs(t, err, session.ErrID, "%q", text)
		assert.Zero(t, id, "%q", text)
	}
	require.Len(t, alphabet, session.MaxGiven)
	for b := range 256 {
		_, err := c.Given(string([]byte{byte(b)}))
		assert.Equal(t, strings.IndexByte(alphabet, byte(b)) >= 0, err == nil, "%q", b)
	}
	a, err := c.Given("a")
	require.NoError(t, err)
	b, err := c.Given("b")
	require.NoError(t, err)
	assert.NotEqual(t, a.Address(), b.Address())
}

// The ledger has a given id under the address that was current when it was
// closed: it must find it at each step of a rotation, and on servers that are
// at different steps.
func TestGivenAcrossRotation(t *testing.T) {
	given := func(letters string) session.ID {
		id, err := codec(t, letters).Given("tab-1")
		require.NoError(t, err)
		return id
	}
	a, b, c := given("a"), given("b"), given("c")
	assert.NotEqual(t, a.Address(), b.Address(), "without the key nobody can try likely ids")
	assert.Empty(t, a.Former())
	for _, tt := range []struct {
		keys    string
		address string
		former  []string
	}{
		{"ab", a.Address(), []string{b.Address()}},
		{"ba", b.Address(), []string{a.Address()}},
		{"cba", c.Address(), []string{b.Address(), a.Address()}},
	} {
		id := given(tt.keys)
		assert.Equal(t, tt.address, id.Address(), tt.keys)
		assert.Equal(t, tt.former, id.Former(), tt.keys)
	}
}

func TestNewCodecRefusesKeys(t *testing.T) {
	long := key('a')
	for name, list := range map[string][][]byte{
		"nil":              nil,
		"none":             {},
		"a nil key":        {nil},
		"short":            {long[:session.MinKey-1]},
		"short at the end": {long, long[:session.MinKey-1]},
		"empty at the end": {long, {}},
	} {
		c, err := session.NewCodec(list, year)
		assert.ErrorIs(t, err, session.ErrKeys, name)
		assert.Nil(t, c, name)
		for _, k := range list {
			if len(k) > 0 {
				assert.NotContains(t, err.Error(), string(k), "keys are not for logs")
			}
		}
	}
	_, err := session.NewCodec([][]byte{long, long[:5]}, year)
	assert.ErrorContains(t, err, "key 2 of 2 has 5 bytes")
	_, err = session.NewCodec([][]byte{make([]byte, session.MinKey), make([]byte, 200)}, year)
	assert.NoError(t, err)
}

func TestIDsAreUnique(t *testing.T) {
	c := codec(t, "a")
	const n = 10_000
	texts, addresses := make(map[string]bool, n), make(map[string]bool, n)
	for i := range n {
		id, err := c.New([]string{"", "ann"}[i%2])
		require.NoError(t, err)
		texts[id.String()] = true
		addresses[id.Address()] = true
	}
	assert.Len(t, texts, n)
	assert.Len(t, addresses, n)
}

func TestCodecIsForManyGoroutines(t *testing.T) {
	c := codec(t, "ab")
	old := newID(t, codec(t, "b"), "ann")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				id, err := c.New("ann")
				if !assert.NoError(t, err) {
					return
				}
				for _, text := range []string{id.String(), old.String()} {
					read, err := c.Parse(text)
					assert.NoError(t, err)
					assert.Equal(t, text, read.String())
					assert.True(t, c.OwnedBy(read, "ann"))
					assert.False(t, c.Expired(read))
				}
				given, err := c.Given("tab-1")
				assert.NoError(t, err)
				assert.Len(t, given.Former(), 1)
			}
		})
	}
	wg.Wait()
}

func TestIsAddress(t *testing.T) {
	for s, want := range map[string]bool{
		"AAECAwQFBgcICQoL":  true,
		"----------------":  true,
		"AAECAwQFBgcICQo":   false,
		"AAECAwQFBgcICQoLA": false,
		"AAECAwQFBgcICQo=":  false,
		"AAECAwQFBgcICQ\nL": false,
		"AAECAwQFBgcICQ.L":  false,
		"éééééééé":          false,
		"":                  false,
	} {
		assert.Equal(t, want, session.IsAddress(s), "%q", s)
	}
}

// Whatever Parse accepts is, byte by byte, what a codec with one of its keys
// makes at some second: the fuzzer writes ids without a key, and has others
// signed for it.
func FuzzParse(f *testing.F) {
	c, old := codec(f, "ba"), codec(f, "a")
	for _, id := range []string{
		newID(f, c, "").String(), newID(f, c, "ann").String(), newID(f, old, "").String(), newID(f, old, "ann").String(),
		newID(f, codec(f, "c"), "").String(), "", "null", strings.Repeat("A", 80),
	} {
		f.Add(id, "1784000000", []byte("0123456789ab"))
		f.Add(id+"\n", "999999999", []byte("0123456789abcdefghijk"))
		f.Add(id+"=", "-1", []byte(""))
	}
	check := func(t *testing.T, text string) bool {
		id, err := c.Parse(text)
		if err != nil {
			require.ErrorIs(t, err, session.ErrID)
			require.Zero(t, id)
			return false
		}
		seconds, payload := decoded(t, text)
		require.Contains(t, []string{sign(t, key('a'), seconds, payload), sign(t, key('b'), seconds, payload)}, text)
		require.Equal(t, text, id.String())
		require.Contains(t, []int{12, 21}, len(payload))
		require.Equal(t, seconds, strings.TrimLeft(seconds, " +-_"))
		require.Len(t, id.Address(), 16)
		require.True(t, session.IsAddress(id.Address()))
		require.Empty(t, strings.Trim(text, alphabet))
		require.Equal(t, len(payload) == 12, c.OwnedBy(id, ""))
		return true
	}
	f.Fuzz(func(t *testing.T, text, seconds string, payload []byte) {
		check(t, text)
		digits := seconds != "" && len(seconds) <= 11 && strings.Trim(seconds, "0123456789") == ""
		want := digits && (len(payload) == 12 || len(payload) == 21)
		require.Equal(t, want, check(t, sign(t, key('a'), seconds, payload)), "second %q, %d bytes", seconds, len(payload))

		if id, err := c.Given(text); err == nil {
			require.Equal(t, text, id.String())
			require.True(t, session.IsAddress(id.Address()))
			_, err := c.Parse(text)
			require.Error(t, err, "no text is both")
		}
	})
}

func BenchmarkNew(b *testing.B) {
	c := codec(b, "ab")
	for _, owner := range []string{"", "ann"} {
		b.Run("owner="+owner, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.New(owner); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	c := codec(b, "ab")
	for _, bm := range []struct{ name, text string }{
		{"newest", newID(b, c, "").String()},
		{"owned", newID(b, c, "ann").String()},
		{"older", newID(b, codec(b, "b"), "").String()},
		{"foreign", newID(b, codec(b, "c"), "").String()},
		{"garbage", strings.Repeat("A", 80)},
		{"long", strings.Repeat("A", 1<<20)},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Parse(bm.text)
			}
		})
	}
}

func TestForeignKeyOfAnotherShape(t *testing.T) {
	raw := append([]byte("1784000000|AAECAwQFBgcICQoL!"), make([]byte, sha256.Size)...)
	_, err := codec(t, "a").Parse(base64.RawURLEncoding.EncodeToString(raw))
	assert.NotErrorIs(t, err, session.ErrForeignKey, "no second separator")
	raw = append([]byte("1784000000|\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00|"), make([]byte, sha256.Size)...)
	_, err = codec(t, "a").Parse(base64.RawURLEncoding.EncodeToString(raw))
	assert.NotErrorIs(t, err, session.ErrForeignKey, "no base64")
}

func TestIDOfTheFarFutureIsExpired(t *testing.T) {
	c := codec(t, "a")
	assert.True(t, c.Expired(parse(t, c, sign(t, key('a'), "99999999999", make([]byte, 12)))))
}
