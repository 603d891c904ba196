package session

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gorilla/securecookie"
)

var (
	// ErrID is what a text is that this server has not signed: forged, cut
	// short, of another alphabet, or no id at all.
	ErrID = errors.New("sse: not an id that this server has signed")
	// ErrForeignKey is an ErrID that has the shape of an id throughout and
	// fails only by its signature: it is forged, or the keys of the server
	// that made it are not among this one's.
	ErrForeignKey = fmt.Errorf("%w: its signature is by none of the keys", ErrID)
	// ErrKeys is returned for keys that cannot be used.
	ErrKeys = errors.New("sse: unusable keys")
)

const (
	// AddressLen is the length of an address.
	AddressLen = 16
	// MinKey is the least length of a signing key, in bytes.
	MinKey = 32
	// MaxGiven is the greatest length of an id that a program or a client has
	// chosen. Signed ids are longer, so the two never meet.
	MaxGiven = 64

	addressBytes = 12
	ownerBytes   = 9
	// A token is base64 of "seconds|base64(payload)|mac". These are its
	// lengths for one digit and no owner, and for eleven digits and an owner.
	minToken = 68
	maxToken = 98

	tokenName = "id" // what securecookie mixes into the signature
)

// An ID is a tab's identity: what the tab shows, and what it says.
type ID struct {
	text    string
	address string
	former  []string // a given id's addresses under the older keys
	payload [addressBytes + ownerBytes]byte
	owned   bool
	given   bool
	key     int // which of the codec's keys has signed it
	issued  time.Time
}

// String is the id as the browser holds it. It proves to be the tab, so it is
// for that tab only.
func (id ID) String() string { return id.text }

// Address is the part of the id that may be shown to anybody.
func (id ID) Address() string { return id.address }

// Former lists the further addresses under which a given id may have been
// entered in a ledger: those by the keys older than the newest.
func (id ID) Former() []string { return id.former }

// Issued is when the id was made, to the second; zero for a given id.
func (id ID) Issued() time.Time { return id.issued }

// A Codec makes ids and checks them. Its methods may be called by any
// goroutine.
type Codec struct {
	keys     []signer
	lifetime time.Duration
}

type signer struct {
	token *securecookie.SecureCookie
	owner []byte // key of the hash that binds an id to its owner
	given []byte // key of the hash that makes a given id's address
}

// NewCodec returns a codec that signs with the first key and accepts what any
// of them has signed, for the given lifetime. Keys have at least MinKey bytes;
// else, or with none, the error is ErrKeys.
func NewCodec(keys [][]byte, lifetime time.Duration) (*Codec, error) {
	c := &Codec{lifetime: lifetime}
	if err := checkKeys(keys); err != nil {
		return nil, err
	}
	for _, k := range keys {
		c.keys = append(c.keys, signer{
			token: securecookie.New(derive(k, "id"), nil).
				SetSerializer(securecookie.NopEncoder{}).
				// The age is looked at last, after the ledger: see Expired.
				MaxAge(0),
			owner: derive(k, "owner"),
			given: derive(k, "given"),
		})
	}
	return c, nil
}

func checkKeys(keys [][]byte) error {
	if len(keys) == 0 {
		return fmt.Errorf("%w: there are none", ErrKeys)
	}
	for i, k := range keys {
		if len(k) < MinKey {
			return fmt.Errorf("%w: key %d of %d has %d bytes, at least %d are needed", ErrKeys, i+1, len(keys), len(k), MinKey)
		}
	}
	return nil
}

// derive gives each use of a key a key of its own.
func derive(key []byte, use string) []byte {
	k, err := hkdf.Expand(sha256.New, key, "lastevent/sse "+use, sha256.Size)
	if err != nil {
		panic(err) // only for lengths over 255 hashes
	}
	return k
}

// New makes an id, bound to owner unless that is empty.
func (c *Codec) New(owner string) (ID, error) {
	id := ID{issued: time.Now().Truncate(time.Second)}
	rand.Read(id.payload[:addressBytes])
	payload := id.payload[:addressBytes]
	if owner != "" {
		id.owned = true
		copy(id.payload[addressBytes:], c.ownerTag(0, id.payload[:addressBytes], owner))
		payload = id.payload[:]
	}
	text, err := c.keys[0].token.Encode(tokenName, payload)
	if err != nil {
		return ID{}, fmt.Errorf("sse: signing an id: %w", err)
	}
	// With a clock of ten digits there is no padding; one that was never set
	// has fewer.
	id.text = strings.TrimRight(text, "=")
	id.address = base64.RawURLEncoding.EncodeToString(id.payload[:addressBytes])
	return id, nil
}

// Parse checks the shape and the signature of text. It accepts only the very
// string that New has made; anything else is ErrID, and ErrForeignKey when all
// but the signature is right. Whose the id is, how old it is and whether it is
// closed are questions of their own, and come after.
func (c *Codec) Parse(text string) (ID, error) {
	// securecookie tolerates line breaks inside, which would end up in the
	// stream: the alphabet comes first.
	if len(text) < minToken || len(text) > maxToken || !plain(text) {
		return ID{}, ErrID
	}
	// Strict, because several texts would else stand for one id.
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return ID{}, ErrID
	}
	issued, rest, ok := seconds(raw)
	if !ok {
		return ID{}, ErrID
	}
	padded := text + "==="[:(4-len(text)%4)%4]
	for i, k := range c.keys {
		var payload []byte
		if k.token.Decode(tokenName, padded, &payload) != nil {
			continue
		}
		id := ID{text: text, key: i, issued: issued}
		if n := copy(id.payload[:], payload); n != len(payload) || n != addressBytes && n != len(id.payload) {
			return ID{}, ErrID
		}
		id.owned = len(payload) == len(id.payload)
		id.address = base64.RawURLEncoding.EncodeToString(id.payload[:addressBytes])
		return id, nil
	}
	if shaped(rest) {
		return ID{}, ErrForeignKey
	}
	return ID{}, ErrID
}

// shaped reports whether rest is "base64(payload)|mac", the mac being any.
func shaped(rest []byte) bool {
	payload := len(rest) - sha256.Size - 1
	return (payload == base64.URLEncoding.EncodedLen(addressBytes) ||
		payload == base64.URLEncoding.EncodedLen(addressBytes+ownerBytes)) &&
		rest[payload] == '|' && plain(string(rest[:payload]))
}

// seconds splits "seconds|rest".
func seconds(raw []byte) (t time.Time, rest []byte, ok bool) {
	var n int64
	for i, b := range raw {
		switch {
		case b == '|' && i > 0:
			return time.Unix(n, 0), raw[i+1:], true
		case b < '0' || b > '9' || i == 11:
			return time.Time{}, nil, false
		}
		n = 10*n + int64(b-'0')
	}
	return time.Time{}, nil, false
}

// Given is the id that the program, or with trust a client, has chosen: 1 to
// MaxGiven characters of [A-Za-z0-9_-], else ErrID. It has neither signature
// nor age. Its address is a keyed hash, so that nobody can find the id out by
// trying likely ones.
func (c *Codec) Given(text string) (ID, error) {
	if text == "" || len(text) > MaxGiven || !plain(text) {
		return ID{}, fmt.Errorf("%w: a chosen id has 1 to %d characters of [A-Za-z0-9_-]", ErrID, MaxGiven)
	}
	if text == "null" || text == "undefined" {
		return ID{}, ErrID
	}
	id := ID{text: text, given: true}
	for i, k := range c.keys {
		sum := keyedHash(k.given, []byte(text))[:addressBytes]
		address := base64.RawURLEncoding.EncodeToString(sum)
		if i == 0 {
			id.address = address
		} else {
			id.former = append(id.former, address)
		}
	}
	return id, nil
}

// OwnedBy reports whether the id is bound to owner; the empty owner is that of
// the ids that are bound to nobody. A given id is not bound by itself.
func (c *Codec) OwnedBy(id ID, owner string) bool {
	if id.given {
		return true
	}
	if !id.owned || owner == "" {
		return !id.owned && owner == ""
	}
	tag := c.ownerTag(id.key, id.payload[:addressBytes], owner)
	return subtle.ConstantTimeCompare(tag, id.payload[addressBytes:]) == 1
}

// Skew is by how much the clocks of servers that share keys may differ.
const Skew = 5 * time.Minute

// Expired reports whether the id is older than the codec's lifetime, or from
// a future that is further off than Skew: an id that a clock gone wrong has
// dated would else outlive whatever is kept for one lifetime.
func (c *Codec) Expired(id ID) bool {
	age := time.Since(id.issued)
	return !id.given && (age > c.lifetime || age < -Skew)
}

// ownerTag is by the key that has signed the id, so that an id keeps its owner
// when keys rotate, and over the address, so that tags of two tabs do not tell
// that they are of one owner.
func (c *Codec) ownerTag(key int, address []byte, owner string) []byte {
	return keyedHash(c.keys[key].owner, address, []byte(owner))[:ownerBytes]
}

func keyedHash(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// plain reports whether s is of [A-Za-z0-9_-] throughout.
func plain(s string) bool {
	for i := range len(s) {
		switch b := s[i]; {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', b == '-', b == '_':
		default:
			return false
		}
	}
	return true
}

// IsAddress reports whether s has the shape of an address.
func IsAddress(s string) bool { return len(s) == AddressLen && plain(s) }
